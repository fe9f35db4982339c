use backend_metrics::labels::{
    StatementErrorType, StatementFileType, StatementStatus, TransactionCategory,
};

use super::{DONE, Driver, FAILED, ms, panic_with};

pub(super) fn drive(to: &mut Driver) {
    for file_type in StatementFileType::ALL.iter().copied() {
        to.step_with(
            file_type.as_str(),
            |to| {
                let success = StatementStatus::Success;
                call!(to.track_statement_upload(file_type, 20_000, ms(700), success));
            },
            r#"
            statement_uploads_total{status="success",file_type="$"} +1
            statement_parsing_duration_seconds{file_type="$"} observes 0.7
            statement_upload_size_bytes{file_type="$"} observes 20000
            "#,
        );
    }
    for category in TransactionCategory::ALL.iter().copied() {
        to.step_with(
            category.as_str(),
            |to| call!(to.track_transactions_parsed(category, 16)),
            r#"transactions_parsed_total{category="$"} +16"#,
        );
    }
    for error_type in StatementErrorType::ALL.iter().copied() {
        to.step_with(
            error_type.as_str(),
            |to| call!(to.track_statement_error(error_type)),
            r#"statement_parsing_errors_total{error_type="$"} +1"#,
        );
    }

    let start = |to: &Driver| {
        let upload = call!(to.start_statement_upload(StatementFileType::Excel, 1_000));
        to.advance(ms(250));
        upload
    };
    let success = r#"
        statement_uploads_total{status="success",file_type="excel"} +1
        statement_parsing_duration_seconds{file_type="excel"} observes 0.25
        statement_upload_size_bytes{file_type="excel"} observes 1000
        "#;
    let date = r#"
        statement_uploads_total{status="error",file_type="excel"} +1
        statement_parsing_duration_seconds{file_type="excel"} observes 0.25
        statement_upload_size_bytes{file_type="excel"} observes 1000
        statement_parsing_errors_total{error_type="date_error"} +1
        "#;
    let upload = to.step(start, "");
    to.step(
        |_| upload.transactions(TransactionCategory::Fno, 7),
        r#"transactions_parsed_total{category="fno"} +7"#,
    );
    to.step(|_| upload.success(), success);
    to.step(|to| start(to).finish(&DONE, |()| StatementErrorType::Date), success);
    to.step(|to| start(to).error(StatementErrorType::Date), date);
    to.step(|to| start(to).finish(&FAILED, |()| StatementErrorType::Date), date);
    to.step(
        |to| panic_with(start(to)),
        r#"
        statement_uploads_total{status="error",file_type="excel"} +1
        statement_parsing_duration_seconds{file_type="excel"} observes 0.25
        statement_upload_size_bytes{file_type="excel"} observes 1000
        "#,
    );
    to.step(
        |to| drop(start(to)),
        r#"
        statement_uploads_total{status="cancelled",file_type="excel"} +1
        statement_parsing_duration_seconds{file_type="excel"} observes 0.25
        statement_upload_size_bytes{file_type="excel"} observes 1000
        "#,
    );
}
