//! What was typed and cannot be understood, in words: for people beside the usage, for programs
//! (`--json`) as the one document that every failure is.

use crate::{errors::Failure, output::Output};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::{error::Error as _, num::IntErrorKind, num::ParseIntError, process::ExitCode};

/// Exit code of a command line that was not understood, as of most programs.
const MISTYPED: u8 = 2;

/// Says it. Help and versions that were asked for are no failures.
pub(crate) fn tell(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nobody is left to tell when standard output is closed.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let wants_json = std::env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    match plainer(error) {
        Some(failure) => Output::new(wants_json).failure(&failure),
        None if wants_json => Output::new(true).failure(&told(error)),
        None => {
            let _ = error.print();
        }
    }
    ExitCode::from(MISTYPED)
}

/// What the parser cannot say well: it repeats what libraries think of a number or of digits.
fn plainer(error: &clap::Error) -> Option<Failure> {
    let argument = context(error, ContextKind::InvalidArg)?;
    if error.kind() == ErrorKind::UnknownArgument {
        let negative = argument.strip_prefix('-')?;
        return negative.starts_with(|sign: char| sign.is_ascii_digit() || sign == '.').then(|| {
            Failure::new(format!("`{argument}` is below zero, or the value of nothing"))
                .hint("amounts, numbers and durations are not negative; write a value that begins with - as --OPTION=VALUE")
        });
    }
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let value = context(error, ContextKind::InvalidValue)?;
    let expected = expected(error.source()?, &argument)?;
    let failure = Failure::new(format!("`{value}` cannot be {argument}: {expected}"));
    Some(failure.hint("see --help of the command"))
}

/// What would be right, where a library only says what is wrong.
fn expected(source: &(dyn std::error::Error + 'static), argument: &str) -> Option<&'static str> {
    if let Some(number) = source.downcast_ref::<ParseIntError>() {
        return Some(match number.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "this number is too large",
            _ => "expected a whole number, such as 7",
        });
    }
    let is_number = source.is::<alloy_primitives::ruint::ParseError>();
    let is_hex = source.is::<alloy_primitives::hex::FromHexError>();
    if is_number {
        Some("expected a whole number, such as 7")
    } else if is_hex && argument.contains("ADDRESS") {
        Some("expected an address, 0x and 40 hexadecimal digits")
    } else if is_hex {
        Some("expected 0x and hexadecimal digits: 64 for a hash or id, 40 for an address")
    } else {
        None
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Everything that the parser says, as a failure: its first paragraph, and the rest as what to do.
fn told(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (what, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let hint = rest
        .split("\n\n")
        .map(line)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    Failure::new(line(what)).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser as _;

    fn mistake(line: &str) -> clap::Error {
        Cli::try_parse_from(line.split_whitespace()).expect_err(line)
    }

    #[test]
    fn numbers_digits_and_signs_are_told_in_words() {
        for (line, value, expected) in [
            ("medina market buy abc", "abc", "whole number"),
            ("medina market order x1", "x1", "whole number"),
            (
                "medina market buy 99999999999999999999999",
                "99999999999999999999999",
                "too large",
            ),
            ("medina market balance org-1", "org-1", "40 hexadecimal"),
            ("medina market deliver 1 --proof 0x12", "0x12", "64"),
            (
                "medina market list --resource a --property b --price -5",
                "-5",
                "below zero",
            ),
            (
                "medina sensor register --property b --period -1h",
                "-1",
                "below zero",
            ),
        ] {
            let failure = plainer(&mistake(line)).expect(line).to_string();
            assert!(
                failure.contains(value) && failure.contains(expected),
                "{line}: {failure}"
            );
            assert_eq!(failure.lines().count(), 2, "{failure}");
        }
    }

    #[test]
    fn what_the_parser_says_well_is_left_to_it_and_is_one_line_for_programs() {
        for (line, expected) in [
            ("medina market buy 1 --max x", "no amount"),
            ("medina market search --kind foo", "stream, dataset"),
            ("medina market list --price 5", "--property"),
            ("medina nonsense", "nonsense"),
        ] {
            let error = mistake(line);
            assert!(plainer(&error).is_none(), "{line}");
            let json = told(&error).to_json();
            let text = json["error"].as_str().expect("a text");
            assert!(
                text.contains(expected) && !text.contains('\n'),
                "{line}: {json}"
            );
            assert!(
                json["hint"].as_str().is_some_and(|hint| !hint.is_empty()),
                "{json}"
            );
        }
    }
}
