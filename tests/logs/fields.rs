//! The fields of all log lines, read from the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Those of every `tracing::…!` below a folder.
pub fn in_sources(folder: &Path) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fields.extend(in_sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            fields.extend(in_text(&fs::read_to_string(&path).unwrap()));
        }
    }
    fields
}

fn in_text(text: &str) -> BTreeSet<String> {
    let levels = ["info", "warn", "error", "debug"];
    let begins = levels.iter().flat_map(|level| {
        let call = format!("tracing::{level}!(");
        let found: Vec<usize> = text.match_indices(&call).map(|(at, _)| at + call.len()).collect();
        found
    });
    begins.flat_map(|begin| arguments(&text[begin..])).filter_map(|one| name(&one)).collect()
}

/// The arguments of a call, up to the parenthesis that closes it; of texts only the quotes.
fn arguments(text: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for c in text.chars() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        let last = arguments.last_mut().unwrap();
        last.push(if c == '"' { '\u{1}' } else { c });
    }
    arguments.iter().map(|argument| argument.trim().to_owned()).collect()
}

/// The field that an argument gives: `name = value`, `%name`, `name`; the message gives none, nor
/// what is put into it.
fn name(argument: &str) -> Option<String> {
    let is_name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let (name, _value) = argument.split_once(" = ").unwrap_or((argument, ""));
    let name = name.trim_start_matches(['%', '?']).trim_start_matches("r#");
    is_name(name).then(|| name.to_owned())
}
