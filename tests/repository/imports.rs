//! Which module may import which: no circles, and in `policy` from the engine down to the values.

mod graph;
mod tokens;

use std::collections::BTreeSet;

use self::graph::Graph;
use crate::rust_files;

/// The parts of `policy` from top to bottom: each may import those below it. Its other modules are values, at the bottom.
const LAYERS: [&str; 3] = ["policy::engine", "policy::torrent", "policy::hosts"];

fn sources() -> Graph {
    Graph::read(&rust_files("src"))
}

fn is_in(module: &str, part: &str) -> bool {
    module.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The example client, as a crate of its own, with the module that it shares with the other examples.
fn client() -> Graph {
    let lines = rust_files("examples/lines")
        .into_iter()
        .map(|(file, text)| (file.replace("examples/", "src/"), text));
    let own = rust_files("examples/client/src").into_iter();
    let own = own.map(|(file, text)| (file.replace("examples/client/", ""), text));
    Graph::read(&own.chain(lines).collect::<Vec<_>>())
}

/// The circles of a crate, each with an instance.
fn circles(knots: &[BTreeSet<String>], graph: &Graph) -> String {
    let instance = |knot: &BTreeSet<String>| {
        let through = knot.first().expect("a knot has modules");
        format!("{knot:?} import each other, for instance:\n{}", graph.circle(through))
    };
    knots.iter().map(instance).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_module_imports_itself_by_way_of_others() {
    let graph = sources();
    assert_eq!(circles(&graph.knots(), &graph), "");
}

#[test]
fn no_module_of_the_client_imports_itself_by_way_of_others() {
    let graph = client();
    assert!(graph.arrows().count() > 100, "the imports of the client were not understood");
    assert_eq!(circles(&graph.knots(), &graph), "");
}

/// From top to bottom: 0 is the bottom. `None` for `policy` itself, which only re-exports.
fn layer(module: &str, is_complete: bool) -> Option<usize> {
    match LAYERS.iter().position(|part| is_in(module, part)) {
        Some(place) => Some(LAYERS.len() - place),
        None => (is_complete && module != "policy").then_some(0),
    }
}

/// `engine → torrent → hosts → values`, never back.
#[test]
fn policy_imports_from_top_to_bottom() {
    let graph = sources();
    let arrows: Vec<_> =
        graph.arrows().filter(|(from, to, _)| is_in(from, "policy") && is_in(to, "policy")).collect();
    assert!(arrows.len() > 20, "the imports of src/policy were not understood");
    // Until everything about a torrent is in its folder, nothing is known of the modules beside the layers.
    let is_complete = arrows.iter().any(|(from, ..)| is_in(from, "policy::torrent"));
    let rises = arrows.iter().filter(|(from, to, _)| {
        let layers = (layer(from, is_complete), layer(to, is_complete));
        matches!(layers, (Some(from), Some(to)) if from < to)
    });
    let rises: Vec<&str> = rises.map(|(.., words)| words.as_str()).collect();
    assert!(rises.is_empty(), "a lower layer imports a higher one:\n{}", rises.join("\n"));
}

/// Values are what the parts share; the parts are joined in the shell, and in the crate's root.
#[test]
fn parts_import_values_and_only_the_shell_imports_parts() {
    let joints = ["", "from_metainfo", "manual"];
    let parts = ["policy", "wire", "net"];
    let graph = sources();
    let wrong = graph.arrows().filter(|(from, to, _)| {
        let into = parts.iter().find(|part| is_in(to, part));
        let shell = joints.contains(&from.as_str()) || is_in(from, "net");
        into.is_some_and(|part| !shell && !is_in(from, part))
    });
    let wrong: Vec<String> = wrong.map(|(.., words)| words).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn made_up(files: &[(&str, &str)]) -> Graph {
    let files: Vec<_> =
        files.iter().map(|(file, text)| (format!("src/{file}"), (*text).to_owned())).collect();
    Graph::read(&files)
}

fn shown(graph: &Graph) -> Vec<String> {
    graph.arrows().map(|(from, to, _)| format!("{from} → {to}")).collect()
}

#[test]
fn a_circle_is_found_and_shown() {
    let graph = made_up(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a/mod.rs", "mod deep;\npub(crate) use deep::Deep;\n"),
        ("a/deep.rs", "use crate::b::{self, other};\npub(crate) struct Deep(b::Thing);\n"),
        ("b.rs", "use std::fmt;\n\npub(crate) fn f() -> Option<crate::a::Deep> {}\n"),
    ]);
    let knot = ["a::deep", "b"].map(str::to_owned).into();
    assert_eq!(graph.knots(), [knot]);
    assert_eq!(
        graph.circle("b"),
        "  src/b.rs:3 imports Deep of src/a/deep.rs\n  src/a/deep.rs:1 imports other of src/b.rs"
    );
}

#[test]
fn a_parent_may_declare_and_re_export_those_who_import_it() {
    let parent = "mod child;\npub(crate) use self::child::Child;\npub(crate) struct Shared;\n";
    let child = "use super::Shared;\npub(crate) struct Child(Shared);\n";
    let graph =
        made_up(&[("lib.rs", "mod a;\npub use a::Child;\n"), ("a/mod.rs", parent), ("a/child.rs", child)]);
    assert_eq!(shown(&graph), ["a::child → a"]);
    assert!(graph.knots().is_empty());
    // Where it uses what it re-exports, it imports it.
    let parent = format!("{parent}fn f(child: &Child) {{}}\n");
    let graph = made_up(&[("lib.rs", "mod a;\n"), ("a/mod.rs", &parent), ("a/child.rs", child)]);
    assert_eq!(shown(&graph), ["a → a::child", "a::child → a"]);
    assert_eq!(graph.knots().len(), 1);
}

#[test]
fn comments_literals_tests_and_other_crates_are_no_imports() {
    let text = r##"
        //! [`crate::b::B`]
        use b::elsewhere; use std::{b::B, io::{self, Read}};
        #[cfg(test)] use crate::b::B;
        #[cfg(all(test, feature = "b"))] #[derive(Debug)]
        impl<T, U> X for Y { fn f() { crate::b::f() } }
        /* crate::b::B /* nested */ super::b::B */
        struct S { #[cfg(test)] field: crate::b::B, other: u8 }
        fn f<'a>(x: &'a str) -> impl Sized + use<'a> { ("crate::b::B \" crate::b::B", r#"" crate::b::B"#, '"', b'\'', x) }
        #[cfg(test)]
        mod tests { use super::b::B; }
    "##;
    let graph = made_up(&[
        ("lib.rs", "mod a; mod c;"),
        ("a.rs", text),
        ("c.rs", ""),
        ("a/tests.rs", "use crate::c::C;"),
    ]);
    assert!(shown(&graph).is_empty(), "{:?}", shown(&graph));
    // The same at other places is read.
    for import in [
        "struct S { f: crate::c::C }",
        "#[cfg(feature = \"x\")] use super::c::C;",
        "use crate::{c as d}; type T = d::D;",
    ] {
        let graph =
            made_up(&[("lib.rs", "mod a; mod c;"), ("a.rs", &format!("{text}\n{import}")), ("c.rs", "")]);
        assert_eq!(shown(&graph), ["a → c"], "{import}");
    }
}

/// Not to the parent on the way: what it doesn't define isn't its.
#[test]
fn an_import_leads_to_where_a_thing_is_defined() {
    let graph = made_up(&[
        ("lib.rs", "pub mod a;\npub mod b;\npub use crate::a::Thing;\n"),
        ("a/mod.rs", "mod inner;\npub use inner::{Original as Thing, other};\npub fn own() {}\n"),
        ("a/inner.rs", "pub struct Original;\npub fn other() {}\n"),
        ("b.rs", "use crate::a;\nfn f() { crate::Thing::new(); a::own(); a::other(); }\n"),
    ]);
    assert_eq!(shown(&graph), ["b → a", "b → a::inner"]);
}
