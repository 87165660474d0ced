//! How numbers of runs and of faults are told.

/// How many faults runs have.
pub(super) fn with_faults(count: usize) -> String {
    match count {
        0 => "without faults".into(),
        1 => "with 1 fault".into(),
        count => format!("with {count} faults"),
    }
}

/// A number with commas between its thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let numbers = [0, 999, 1000, 39214, 1_234_567];
        assert_eq!(numbers.map(grouped), ["0", "999", "1,000", "39,214", "1,234,567"]);
    }
}
