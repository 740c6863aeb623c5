//! The files of a crate and what each imports: from its `use` lines and from the paths that stand
//! in its code. A name that a module only passes on (`pub use`) belongs to the file that defines
//! it, so a folder's face is no room of its own.

use std::collections::{BTreeMap, BTreeSet};

/// Where a module lies, from the crate's root: `["state", "ledger"]`.
type Module = Vec<String>;

/// Files that import each other, and which of them each imports.
pub type Circle<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The files of a crate by the modules they are.
pub struct House(BTreeMap<Module, Room>);

/// A file.
struct Room {
    file: String,
    /// What its `use` lines bring in, by the name it has here.
    uses: BTreeMap<String, Use>,
    /// The paths in the rest of its code, of two segments or more.
    paths: Vec<Module>,
}

struct Use {
    path: Module,
    /// Whether it is there for others only.
    passed_on: bool,
}

impl House {
    /// A house of files, each with its code: neither comments nor tests.
    pub fn new(files: impl IntoIterator<Item = (String, String)>) -> House {
        House(
            files
                .into_iter()
                .map(|(file, code)| (module_of(&file), Room::new(file, &code)))
                .collect(),
        )
    }

    /// Every name of this crate that a file mentions by a path: the file, and the way to the name
    /// from the crate's root.
    pub fn mentions(&self) -> Vec<(&str, Module)> {
        let mut all = Vec::new();
        for (module, room) in &self.0 {
            let paths = room.paths.iter().chain(room.uses.values().map(|used| &used.path));
            all.extend(
                paths.filter_map(|path| Some((room.file.as_str(), self.rooted(module, path)?))),
            );
        }
        all
    }

    /// The groups of files that import each other, directly or by way of others: each file with
    /// those of its group that it imports.
    pub fn circles(&self) -> Vec<Circle<'_>> {
        let below: BTreeMap<&Module, BTreeSet<&Module>> =
            self.0.keys().map(|module| (module, self.reached(module))).collect();
        let mut circles: Vec<Circle<'_>> = Vec::new();
        for (module, reached) in &below {
            let others = || reached.iter().copied().filter(|other| below[other].contains(module));
            let file = |module: &Module| self.0[module].file.as_str();
            let ties = |from: &Module| {
                let imports = self.imports(from);
                others().filter(|to| imports.contains(to)).map(file).collect()
            };
            let circle: Circle<'_> = others().map(|from| (file(from), ties(from))).collect();
            if !circle.is_empty() && !circles.contains(&circle) {
                circles.push(circle);
            }
        }
        circles
    }

    /// The modules that a module imports, and that those import, and so on.
    fn reached<'a>(&'a self, from: &'a Module) -> BTreeSet<&'a Module> {
        let (mut reached, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(module) = left.pop() {
            left.extend(self.imports(module).into_iter().filter(|next| reached.insert(*next)));
        }
        reached
    }

    fn imports(&self, module: &Module) -> BTreeSet<&Module> {
        let room = &self.0[module];
        let used = room.uses.values().filter(|used| !used.passed_on).map(|used| &used.path);
        let found = room.paths.iter().chain(used).filter_map(|path| self.home(module, path, 0));
        found.filter(|home| *home != module).collect()
    }

    /// The module that defines what a path in `module` leads to; none if that is a module itself,
    /// or not of this crate.
    fn home(&self, module: &Module, path: &[String], depth: usize) -> Option<&Module> {
        assert!(depth < 16, "{module:?} and others pass {path:?} on to each other");
        let path = self.rooted(module, path)?;
        let known = (0..=path.len()).rev().find(|end| self.0.contains_key(&path[..*end]))?;
        let (at, rest) = path.split_at(known);
        let (home, room) = self.0.get_key_value(at)?;
        match room.uses.get(rest.first()?) {
            // What a module has from another crate is that crate's.
            Some(used) => self.home(home, &[&used.path[..], &rest[1..]].concat(), depth + 1),
            None => Some(home),
        }
    }

    /// A path in `module` from the crate's root; none if it leads elsewhere.
    fn rooted(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let (mut start, mut rest) = match first.as_str() {
            "crate" => (Module::new(), rest),
            "self" => (module.clone(), rest),
            "super" => (module[..module.len().checked_sub(1)?].to_vec(), rest),
            name => {
                if let Some(used) = self.0.get(module)?.uses.get(name)
                    && used.path.first().is_some_and(|first| first != name)
                {
                    return self.rooted(module, &[&used.path[..], rest].concat());
                }
                let child = [&module[..], std::slice::from_ref(first)].concat();
                self.0.contains_key(&child).then_some((child, rest))?
            }
        };
        while let Some(("super", further)) = rest.split_first().map(|(next, f)| (next.as_str(), f))
        {
            start.pop()?;
            rest = further;
        }
        Some([&start[..], rest].concat())
    }
}

impl Room {
    fn new(file: String, code: &str) -> Room {
        let tokens = tokens(code);
        let (mut uses, mut paths, mut bare) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        let mut at = 0;
        while at < tokens.len() {
            if tokens[at] == "use" {
                let passed_on = at > 0 && matches!(tokens[at - 1], "pub" | ")");
                at += 1;
                let mut found = Vec::new();
                use_tree(&tokens, &mut at, &[], &mut found);
                uses.extend(found.into_iter().map(|(name, path)| (name, Use { path, passed_on })));
            } else if is_name(tokens[at]) {
                let path = path(&tokens, &mut at);
                bare.insert(path[0].clone());
                paths.extend((path.len() > 1).then_some(path));
            } else {
                at += 1;
            }
        }
        for (name, used) in &mut uses {
            used.passed_on &= !bare.contains(name);
        }
        Room { file, uses, paths }
    }
}

/// `src/a/mod.rs` and `src/a.rs` are `a`, `src/lib.rs` is the root.
fn module_of(file: &str) -> Module {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Module = inside.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || inside == "lib" {
        module.pop();
    }
    module
}

/// Names, `::`, and every other character by itself.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let length = match name {
            0 if rest.starts_with("::") => 2,
            0 => first.len_utf8(),
            name => name,
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The path that begins at `at`, which is moved behind it.
fn path(tokens: &[&str], at: &mut usize) -> Module {
    let mut path = vec![tokens[*at].to_owned()];
    *at += 1;
    while tokens.get(*at) == Some(&"::") && tokens.get(*at + 1).is_some_and(|next| is_name(next)) {
        path.push(tokens[*at + 1].to_owned());
        *at += 2;
    }
    path
}

/// What one `use`, or one branch of it, brings in: names, each with its path.
fn use_tree(tokens: &[&str], at: &mut usize, before: &[String], found: &mut Vec<(String, Module)>) {
    let mut whole = before.to_vec();
    if tokens.get(*at).is_some_and(|token| is_name(token)) {
        whole.extend(path(tokens, at));
    }
    // `self` in braces is what stands before them.
    if whole.len() > 1 && whole.last().is_some_and(|last| last == "self") {
        whole.pop();
    }
    if tokens.get(*at) == Some(&"::") {
        *at += 1;
    }
    match tokens.get(*at) {
        Some(&"{") => {
            while tokens.get(*at).is_some_and(|token| *token != "}") {
                *at += 1;
                if tokens.get(*at) != Some(&"}") {
                    use_tree(tokens, at, &whole, found);
                }
            }
            *at += 1;
        }
        Some(&"as") => {
            found.push((tokens[*at + 1].to_owned(), whole));
            *at += 2;
        }
        Some(&"*") => {
            whole.push("*".to_owned());
            found.push((whole.join("::"), whole));
            *at += 1;
        }
        _ => found.extend(whole.last().cloned().map(|name| (name, whole))),
    }
}

#[test]
fn circles_are_found_through_faces_braces_names_and_paths() {
    let house = |files: &[(&str, &str)]| {
        House::new(files.iter().map(|(file, code)| ((*file).to_owned(), (*code).to_owned())))
    };
    let circles = |files: &[(&str, &str)]| -> Vec<Vec<String>> {
        let house = house(files);
        house.circles().iter().map(|c| c.keys().map(|file| (*file).to_owned()).collect()).collect()
    };
    let face =
        ("src/a/mod.rs", "mod x; mod y; pub use x::X; pub(crate) use self::y::{Y, why as w};");
    // What a face passes on makes no circle of it with its children.
    assert!(
        circles(&[face, ("src/a/x.rs", "use super::Y;"), ("src/a/y.rs", "fn y() {}")]).is_empty()
    );
    let both = [vec!["src/a/x.rs".to_owned(), "src/a/y.rs".to_owned()]];
    for (x, y) in [
        ("use super::y::Y;", "use super::x::X;"),
        ("use super::Y;", "use crate::a::X;"),
        ("use crate::{a::{w}, b::{self}};", "use super::{x::{self, X}};"),
        ("fn x() { super::y::y() }", "use super::x; fn y() { x::x() }"),
        ("use super::y as why; fn x() { why::y() }", "use crate::a; type Z = Vec<a::X>;"),
        ("use super::super::a::Y;", "use super::x::*;"),
    ] {
        assert_eq!(circles(&[face, ("src/a/x.rs", x), ("src/a/y.rs", y)]), both, "{x} {y}");
    }
    // A face with code of its own is a room.
    let own = ("src/a.rs", "mod x; use x::X; struct Own(X);");
    assert_eq!(circles(&[own, ("src/a/x.rs", "use super::Own;")]).len(), 1);
    let used = ("src/a.rs", "mod x; pub use x::X; struct Own(X);");
    assert_eq!(circles(&[used, ("src/a/x.rs", "use super::Own;")]).len(), 1);
    assert!(circles(&[used, ("src/a/x.rs", ""), ("src/a/y.rs", "use super::X;")]).is_empty());
    // By way of others, and two circles at once.
    let long = [
        ("src/a.rs", "use crate::b::B;"),
        ("src/b.rs", "use crate::c::C; use std::a::A;"),
        ("src/c.rs", "use crate::{a::A, d::D};"),
        ("src/d.rs", "use crate::e;"),
        ("src/e.rs", "use super::f::{F};"),
        ("src/f.rs", "fn f() { crate::e::e::<u8>() }"),
    ];
    let found = circles(&long);
    assert_eq!(found, [vec!["src/a.rs", "src/b.rs", "src/c.rs"], vec!["src/e.rs", "src/f.rs"]]);
    let house = house(&long);
    let mentions: Vec<_> = house.mentions().into_iter().map(|(f, to)| (f, to.join("::"))).collect();
    assert!(mentions.contains(&("src/c.rs", "d::D".to_owned())), "{mentions:?}");
    assert!(mentions.contains(&("src/f.rs", "e::e".to_owned())), "{mentions:?}");
}
