use backend_metrics::labels::{
    ApiKeyStatus, AuthStatus, DenialReason, JwtStatus, SessionEndReason, TokenRefreshStatus,
};

use super::{Driver, ms, panic_with, us};

pub(super) fn drive(to: &mut Driver) {
    for status in AuthStatus::ALL.iter().copied() {
        to.step_with(
            status.as_str(),
            |to| call!(to.track_authentication(status, ms(110))),
            r#"
            auth_attempts_total{status="$"} +1
            auth_attempt_duration_seconds observes 0.11
            "#,
        );
    }
    tokens(to);
    for status in ApiKeyStatus::ALL.iter().copied() {
        to.step_with(
            status.as_str(),
            |to| call!(to.track_api_key_validation(status)),
            r#"api_key_validations_total{status="$"} +1"#,
        );
    }
    to.step(
        |to| call!(to.track_session_created()),
        "
        sessions_created_total +1
        active_sessions +1
        ",
    );
    to.step(|to| call!(to.set_active_sessions(14)), "active_sessions = 14");
    for reason in SessionEndReason::ALL.iter().copied() {
        to.step_with(
            reason.as_str(),
            |to| call!(to.track_session_ended(reason)),
            r#"
            sessions_ended_total{reason="$"} +1
            active_sessions -1
            "#,
        );
    }
    to.step(|to| call!(to.track_auth_lockout()), "auth_lockouts_total +1");
    for status in TokenRefreshStatus::ALL.iter().copied() {
        to.step_with(
            status.as_str(),
            |to| call!(to.track_token_refresh(status)),
            r#"auth_token_refreshes_total{status="$"} +1"#,
        );
    }
    for reason in DenialReason::ALL.iter().copied() {
        to.step_with(
            reason.as_str(),
            |to| call!(to.track_authorization_denial(reason)),
            r#"authorization_denials_total{reason="$"} +1"#,
        );
    }
}

fn tokens(to: &mut Driver) {
    const VALIDATED: &str = r#"
        jwt_validations_total{status="$"} +1
        jwt_validation_duration_seconds observes 0.0002
        "#;
    for status in JwtStatus::ALL.iter().copied() {
        to.step_with(
            status.as_str(),
            |to| call!(to.track_jwt_validation(status, us(200))),
            VALIDATED,
        );
    }
    let start = |to: &Driver| {
        let validation = call!(to.start_jwt_validation());
        to.advance(us(200));
        validation
    };
    to.step_with("valid", |to| start(to).valid(), VALIDATED);
    to.step_with("expired", |to| start(to).expired(), VALIDATED);
    to.step_with("invalid", |to| start(to).invalid(), VALIDATED);
    to.step_with("cancelled", |to| drop(start(to)), VALIDATED);
    to.step_with("error", |to| start(to).error(), VALIDATED);
    to.step_with("error", |to| panic_with(start(to)), VALIDATED);
}
