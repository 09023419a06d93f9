//! Characters that a terminal obeys or hides: what was read of a host (comments of rules, names of
//! processes, labels) is written by others, and is shown to root.

/// Whether a character does something other than to be seen: controls, and those that turn the
/// direction of writing (UAX #9), so that a line reads as another than it is.
#[must_use]
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A word as a POSIX shell takes it, on one line and without a hidden character: `printf` makes
/// those, since pasting them would have the terminal obey. A newline at a word's very end is lost
/// there, and the command then is about something that is not there.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@,+%".contains(letter);
    if !word.is_empty() && word.chars().all(is_bare) {
        return word.to_owned();
    }
    if !word.contains(is_hidden) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let octal = |letter: char| -> String {
        let mut bytes = [0; 4];
        letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\{byte:03o}")).collect()
    };
    let printed: String = word
        .chars()
        .map(|letter| match letter {
            '%' => "%%".to_owned(),
            '\'' | '\\' => octal(letter),
            hidden if is_hidden(hidden) => octal(hidden),
            seen => seen.to_string(),
        })
        .collect();
    format!("\"$(printf -- '{printed}')\"")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(quoted("net.ipv4.ip_forward=1"), "net.ipv4.ip_forward=1");
        assert_eq!(quoted("it's {x}"), r"'it'\''s {x}'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$(reboot)"), "'$(reboot)'");
        assert_eq!(quoted("a\u{1b}[2J"), r#""$(printf -- 'a\033[2J')""#);
    }

    #[test]
    fn a_shell_makes_the_same_word_of_it_and_nobody_sees_a_control_character() {
        for word in [
            "plain",
            "it's {x}",
            "$(reboot) `x` \"y\" \\",
            "100%\u{1b}]0;\\033'$(x)`y`\"\r\u{9b}31m",
            "two\nlines",
            "-\u{202e}txt",
            "ä\u{7f}",
        ] {
            let line = format!("printf %s {}", quoted(word));
            assert!(!line.contains(is_hidden), "{line}");
            let output = Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{line}");
        }
    }

    #[test]
    fn what_is_seen_is_not_hidden() {
        assert!("aä→ '\\{}%\u{a0}".chars().all(|letter| !is_hidden(letter)));
        assert!("\u{0}\t\n\r\u{1b}\u{7f}\u{80}\u{9b}\u{202e}\u{2069}".chars().all(is_hidden));
    }
}
