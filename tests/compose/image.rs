//! What `packaging/Dockerfile` puts into the image and starts.

use std::collections::BTreeMap;

const DOCKERFILE: &str = include_str!("../../packaging/Dockerfile");

/// An instruction and what it is given, on one line.
fn instructions() -> Vec<(String, String)> {
    let lines = DOCKERFILE.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let split = joined.lines().filter_map(|line| line.split_once(' '));
    split.map(|(name, rest)| (name.to_owned(), rest.trim().to_owned())).collect()
}

/// Those of the last stage, which is the image.
fn last_stage() -> Vec<(String, String)> {
    let all = instructions();
    let begin = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    all[begin..].to_vec()
}

/// What an instruction of the image is given.
pub fn says(instruction: &str) -> String {
    let stage = last_stage();
    let found = stage.into_iter().find(|(name, _)| name == instruction);
    found.unwrap_or_else(|| panic!("no {instruction}")).1
}

/// The program that every container starts.
pub fn entrypoint() -> Vec<String> {
    serde_json::from_str(&says("ENTRYPOINT")).unwrap()
}

pub fn environment() -> BTreeMap<String, String> {
    let set = says("ENV");
    let pairs = set.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The paths that are copied from the repository.
pub fn copied() -> Vec<String> {
    let copies = instructions()
        .into_iter()
        .filter(|(name, rest)| name == "COPY" && !rest.starts_with("--from"));
    let sources = copies.flat_map(|(_, rest)| {
        let mut paths: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
        paths.pop();
        paths
    });
    sources.collect()
}
