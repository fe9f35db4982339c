//! Escaping of label values and HELP texts.

/// Appends a label value. Both text formats escape the same three characters.
pub(crate) fn label_value(into: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            _ => into.push(character),
        }
    }
}

/// Appends a label, after a comma if it is not the first.
pub(crate) fn push_label(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    label_value(labels, value);
    labels.push('"');
}

/// Whether a text stands for itself as a label value and as a HELP text.
pub(crate) const fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if matches!(bytes[i], b'\\' | b'"' | b'\n') {
            return false;
        }
        i += 1;
    }
    true
}

/// `==` for a `const`.
pub(crate) const fn same(one: &str, other: &str) -> bool {
    same_bytes(one.as_bytes(), other.as_bytes())
}

pub(crate) const fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut i = 0;
    while i < one.len() {
        if one[i] != other[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_backslashes_and_newlines_are_escaped() {
        let mut text = String::new();
        super::label_value(&mut text, "a\"b\\c\nd\0é😀");
        assert_eq!(text, "a\\\"b\\\\c\\nd\0é😀");
    }
}
