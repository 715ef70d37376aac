//! The text format of the scripts: a command with arguments, input lines, a line
//! of dashes, the expected output, a blank line.

/// One command with its expected output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Where it stands in the file.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Arguments: a key, with values after `=`, several in parentheses.
    pub arguments: Vec<(String, Vec<String>)>,
    /// Lines between command and dashes.
    pub input: String,
    /// Lines after the dashes.
    pub expected: String,
}

impl Command {
    /// Values of an argument.
    #[must_use]
    pub fn values(&self, key: &str) -> Option<&[String]> {
        let mut arguments = self.arguments.iter();
        let found = arguments.find(|(name, _)| name == key);
        found.map(|(_, values)| values.as_slice())
    }

    /// The single value of an argument.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values(key)?.first().map(String::as_str)
    }

    /// Arguments that are bare numbers: node ids.
    #[must_use]
    pub fn ids(&self) -> Vec<u64> {
        let bare = self
            .arguments
            .iter()
            .filter(|(_, values)| values.is_empty());
        bare.filter_map(|(key, _)| key.parse().ok()).collect()
    }
}

/// Reads a script. Lines before the first command, comments and blank lines
/// between commands are ignored.
#[must_use]
pub fn parse(text: &str) -> Vec<Command> {
    let lines: Vec<&str> = text.lines().collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim();
        if line.is_empty() || line.starts_with('#') {
            at += 1;
            continue;
        }
        let (command, next) = parse_command(&lines, at);
        commands.push(command);
        at = next;
    }
    commands
}

fn parse_command(lines: &[&str], start: usize) -> (Command, usize) {
    let mut at = start;
    let mut directive = String::new();
    loop {
        let line = lines[at].trim();
        at += 1;
        match line.strip_suffix('\\') {
            Some(part) if at < lines.len() => {
                directive.push_str(part);
                directive.push(' ');
            }
            _ => {
                directive.push_str(line);
                break;
            }
        }
    }
    let is_rule = |line: &str| line.trim_end() == "----";
    let input: Vec<&str> = lines[at..]
        .iter()
        .copied()
        .take_while(|line| !is_rule(line))
        .collect();
    at = (at + input.len() + 1).min(lines.len());
    let is_long = lines.get(at).is_some_and(|line| is_rule(line));
    at += usize::from(is_long);
    let is_end = |line: &str| {
        if is_long {
            is_rule(line)
        } else {
            line.trim().is_empty()
        }
    };
    let expected: Vec<&str> = lines[at.min(lines.len())..]
        .iter()
        .copied()
        .take_while(|line| !is_end(line))
        .collect();
    at += expected.len() + if is_long { 2 } else { 1 };
    let mut words = split_words(&directive).into_iter();
    let command = Command {
        line: start + 1,
        name: words.next().unwrap_or_default(),
        arguments: words.map(|word| parse_argument(&word)).collect(),
        input: input.join("\n"),
        expected: expected.join("\n"),
    };
    (command, at)
}

/// Splits at blanks outside parentheses.
fn split_words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut depth = 0_usize;
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if letter.is_whitespace() && depth == 0 {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn parse_argument(word: &str) -> (String, Vec<String>) {
    let Some((key, values)) = word.split_once('=') else {
        return (word.to_owned(), Vec::new());
    };
    let values = values.trim_start_matches('(').trim_end_matches(')');
    let values = values.split([',', ' ']).map(str::trim);
    let values = values.filter(|value| !value.is_empty());
    (key.to_owned(), values.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_arguments_input_and_output_are_read() {
        let text = "# note\n\nadd 3 who=(1, 2) now=yes\nin 1\n----\nout 1\nout 2\n\nnext\n----\n----\na\n\nb\n----\n----\n\nlast\n----\n";
        let commands = parse(text);
        let names: Vec<_> = commands.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["add", "next", "last"]);
        let add = &commands[0];
        assert_eq!((add.line, add.ids()), (3, vec![3]));
        let who = ["1".to_owned(), "2".to_owned()];
        assert_eq!(add.values("who"), Some(who.as_slice()));
        assert_eq!(add.value("now"), Some("yes"));
        assert_eq!(
            (add.input.as_str(), add.expected.as_str()),
            ("in 1", "out 1\nout 2")
        );
        assert_eq!(commands[1].expected, "a\n\nb");
    }

    #[test]
    fn any_text_is_read_without_panic() {
        for text in [
            "",
            "----",
            "a\\",
            "a\\\n",
            "a\n----\n----",
            "a (",
            "\n----\n\n",
        ] {
            assert!(parse(text).len() <= text.lines().count());
        }
    }
}
