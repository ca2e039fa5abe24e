//! The modules of a crate, and which imports what of which other.
//!
//! A module is a file: `a/mod.rs` is the module `a`, and its children are modules beside it.
//!
//! - An import is a path in a `use` or in the code that begins with `crate`, `super`, `self`, a child or an imported module.
//!   It is an arrow to the module that *defines* what is imported: re-exports on the way are followed, however many.
//! - `mod child;` is no arrow. Neither is `pub use child::X` (of whatever visibility), unless the file itself uses `X`.
//! - `use a::b`, where `b` is a module, only gives it a short name; `b::X` is the arrow.
//! - What is compiled for tests only isn't read, and neither are comments.
//!
//! The names that a glob imports aren't known here, so a glob is refused.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::tokens::{Token, program};

/// The path of a module or item from the crate's root, which is the empty path.
type Path = Vec<String>;

/// The modules of a crate, each with its file, and the arrows between them.
pub(super) struct Graph {
    files: BTreeMap<Path, String>,
    arrows: BTreeMap<Path, BTreeMap<Path, Arrow>>,
}

/// The first place at which a module imports something of another one.
struct Arrow {
    line: usize,
    what: String,
}

/// A file, read.
struct Module {
    file: String,
    /// What its `use` declarations bind: name, path as written, line, and whether it is re-exported.
    bindings: BTreeMap<String, Binding>,
    /// The paths in its code, as written, with their lines.
    paths: Vec<(Path, usize)>,
    /// All words of its code.
    words: BTreeSet<String>,
}

struct Binding {
    path: Path,
    line: usize,
    is_re_export: bool,
}

impl Graph {
    /// Reads the files of a crate: their names, beginning with `src/`, and their texts.
    pub(super) fn read(files: &[(String, String)]) -> Self {
        let is_test = |file: &str| file.contains("/tests/") || file.ends_with("/tests.rs");
        let modules: BTreeMap<Path, Module> = files
            .iter()
            .filter(|(file, _)| !is_test(file))
            .map(|(file, text)| (module_of(file), Module::read(file, text)))
            .collect();
        let arrows = modules.keys().map(|path| (path.clone(), arrows(path, &modules))).collect();
        Self { files: modules.into_iter().map(|(path, module)| (path, module.file)).collect(), arrows }
    }

    /// The arrows: from which module, to which one, and the words for it.
    pub(super) fn arrows(&self) -> impl Iterator<Item = (String, String, String)> {
        self.arrows.iter().flat_map(move |(from, to)| {
            to.keys().map(move |to| (from.join("::"), to.join("::"), self.words(from, to)))
        })
    }

    /// The largest sets of modules of which each imports each other one, directly or not.
    pub(super) fn knots(&self) -> Vec<BTreeSet<String>> {
        let reached: BTreeMap<&Path, BTreeSet<&Path>> =
            self.files.keys().map(|from| (from, self.reached(from))).collect();
        let mut knots: Vec<BTreeSet<String>> = Vec::new();
        for (from, to) in &reached {
            let knot: BTreeSet<String> =
                to.iter().filter(|to| reached[**to].contains(from)).map(|path| path.join("::")).collect();
            if !knot.is_empty() && !knots.contains(&knot) {
                knots.push(knot);
            }
        }
        knots
    }

    /// The shortest circle through a module: an arrow a line, with its file, line, and what is imported.
    pub(super) fn circle(&self, through: &str) -> String {
        let start: Path = path_of(through);
        let mut came_from: BTreeMap<&Path, &Path> = BTreeMap::new();
        let mut queue = VecDeque::from([&start]);
        while let Some(from) = queue.pop_front() {
            for to in self.arrows.get(from).into_iter().flat_map(BTreeMap::keys) {
                if !came_from.contains_key(to) {
                    came_from.insert(to, from);
                    queue.push_back(to);
                }
            }
        }
        let (mut lines, mut to) = (Vec::new(), &start);
        while let Some(from) = came_from.get(to) {
            lines.push(format!("  {}", self.words(from, to)));
            to = from;
            if *to == start {
                break;
            }
        }
        lines.reverse();
        lines.join("\n")
    }

    fn reached<'a>(&'a self, from: &'a Path) -> BTreeSet<&'a Path> {
        let (mut reached, mut queue) = (BTreeSet::new(), VecDeque::from([from]));
        while let Some(from) = queue.pop_front() {
            let next = self.arrows.get(from).into_iter().flat_map(BTreeMap::keys);
            queue.extend(next.filter(|to| reached.insert(*to)));
        }
        reached
    }

    fn words(&self, from: &Path, to: &Path) -> String {
        let Arrow { line, what } = &self.arrows[from][to];
        format!("{}:{line} imports {what} of {}", self.files[from], self.files[to])
    }
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are `a::b`.
fn module_of(file: &str) -> Path {
    let path = file.strip_prefix("src/").and_then(|file| file.strip_suffix(".rs")).expect("a file below src");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Path::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn path_of(name: &str) -> Path {
    if name.is_empty() { Path::new() } else { name.split("::").map(str::to_owned).collect() }
}

impl Module {
    fn read(file: &str, text: &str) -> Self {
        let tokens = program(text);
        let mut module = Self {
            file: file.to_owned(),
            bindings: BTreeMap::new(),
            paths: Vec::new(),
            words: BTreeSet::new(),
        };
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let Some(word) = token.word() else {
                at += 1;
                continue;
            };
            // `use<..>` in a type isn't a declaration.
            if word == "use" && tokens.get(at + 1).is_some_and(|next| next.word().is_some()) {
                let is_re_export = is_public(&tokens[..at]);
                at += 1;
                module.tree(&tokens, &mut at, &Path::new(), is_re_export);
                continue;
            }
            let begins = !at.checked_sub(1).is_some_and(|before| tokens[before].is_joint());
            let path = path_at(&tokens, &mut at);
            module.words.extend(path.first().cloned());
            if begins && path.len() > 1 {
                module.paths.push((path, token.line));
            }
        }
        module
    }

    /// Reads a tree of a `use` declaration.
    fn tree(&mut self, tokens: &[Token], at: &mut usize, prefix: &Path, is_re_export: bool) {
        let mut path = prefix.clone();
        let line = tokens[*at].line;
        while let Some(token) = tokens.get(*at) {
            if let Some(word) = token.word() {
                if word == "as" {
                    break;
                }
                path.push(word.to_owned());
            } else if token.is('{') {
                *at += 1;
                while !tokens[*at].is('}') {
                    self.tree(tokens, at, &path, is_re_export);
                    if tokens[*at].is(',') {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            } else if !token.is_joint() {
                assert!(!token.is('*'), "{}:{line}: what a glob imports isn't known here", self.file);
                break;
            }
            *at += 1;
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if tokens.get(*at).and_then(Token::word) == Some("as") {
            name = tokens.get(*at + 1).and_then(Token::word).map_or_else(String::new, str::to_owned);
            *at += 2;
        }
        self.bindings.insert(name, Binding { path, line, is_re_export });
    }
}

/// Whether the tokens end with `pub` or `pub(..)`.
fn is_public(before: &[Token]) -> bool {
    let end = match before.last() {
        Some(last) if last.is(')') => before.iter().rposition(|token| token.is('(')).unwrap_or(0),
        _ => before.len(),
    };
    before[..end].last().and_then(Token::word) == Some("pub")
}

/// The path of words that begins here.
fn path_at(tokens: &[Token], at: &mut usize) -> Path {
    let mut path = Path::new();
    while let Some(word) = tokens.get(*at).and_then(Token::word) {
        path.push(word.to_owned());
        *at += 1;
        if !tokens.get(*at).is_some_and(Token::is_joint) {
            break;
        }
        *at += 1;
    }
    path
}

/// Everything that a module imports.
fn arrows(of: &Path, modules: &BTreeMap<Path, Module>) -> BTreeMap<Path, Arrow> {
    let module = &modules[of];
    let used = module
        .bindings
        .iter()
        .filter(|(name, binding)| !binding.is_re_export || module.words.contains(*name));
    let imports = used.map(|(_, binding)| (&binding.path, binding.line));
    let imports = imports.chain(module.paths.iter().map(|(path, line)| (path, *line)));
    let mut arrows = BTreeMap::new();
    for (path, line) in imports {
        let Some((to, item)) = absolute(of, path, modules).map(|path| definition(path, modules)) else {
            continue;
        };
        if let Some(item) = item
            && to != *of
        {
            arrows.entry(to).or_insert(Arrow { line, what: item });
        }
    }
    arrows
}

/// A path from the crate's root; `None` where it leads to another crate, or begins with a name of the file's own.
fn absolute(from: &Path, path: &Path, modules: &BTreeMap<Path, Module>) -> Option<Path> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Path::new(),
        "self" => from.clone(),
        "super" => from[..from.len().checked_sub(1)?].to_vec(),
        name => {
            let child = [from.as_slice(), &[name.to_owned()]].concat();
            if modules.contains_key(&child) {
                child
            } else {
                let binding = modules[from].bindings.get(name).filter(|binding| binding.path != *path)?;
                // `use url::Url` and the like: a path that begins with its own name is another crate's.
                if binding.path.first() == Some(first) {
                    return None;
                }
                absolute(from, &binding.path, modules)?
            }
        }
    };
    for name in rest {
        if name == "super" {
            base.pop();
        } else {
            base.push(name.clone());
        }
    }
    Some(base)
}

/// The module that defines what stands at a path, and what that is called there; `None` where it is the module itself.
fn definition(path: Path, modules: &BTreeMap<Path, Module>) -> (Path, Option<String>) {
    let mut path = path;
    // As many re-exports as anybody would chain.
    for _ in 0..16 {
        let depth = (0..=path.len()).rev().find(|end| modules.contains_key(&path[..*end])).unwrap_or(0);
        let (module, rest) = (path[..depth].to_vec(), &path[depth..]);
        let Some(name) = rest.first() else { return (module, None) };
        let re_exported = modules[&module].bindings.get(name);
        match re_exported.and_then(|binding| absolute(&module, &binding.path, modules)) {
            Some(next) => path = [next.as_slice(), &rest[1..]].concat(),
            None => return (module, Some(name.clone())),
        }
    }
    panic!("re-exports lead in a circle: {path:?}");
}
