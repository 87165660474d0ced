//! The commands that the documents name exist, with their options.

use std::fs;
use std::path::Path;

/// `README.md` and all pages in `docs`: path and text.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut paths = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    let read = |path: &std::path::PathBuf| fs::read_to_string(path).unwrap();
    paths.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

/// Checks each `cargo PROGRAM COMMAND --option` in the documents: how many options there were.
fn check(program: &str, grammar: &clap::Command) -> usize {
    let mut count = 0;
    for (path, text) in documents() {
        for said in text.split(&format!("cargo {program} ")).skip(1) {
            let said = said.split(['`', '\n', '#', '|']).next().unwrap();
            let mut words = said.split_whitespace();
            let name = words.next().unwrap_or_default();
            if name == "help" {
                continue;
            }
            let command = grammar.find_subcommand(name);
            let command = command.unwrap_or_else(|| panic!("{path}: no command: {said}"));
            for option in words.filter_map(|word| word.strip_prefix("--")) {
                let option = option.trim_end_matches(['.', ',', ';', ')', ']']);
                let is_known = |known: &clap::Arg| known.get_long() == Some(option);
                let exists = option == "help" || command.get_arguments().any(is_known);
                assert!(exists, "{path}: no option --{option}: {said}");
                count += 1;
            }
        }
    }
    count
}

#[test]
fn commands_and_options_that_documents_name_exist() {
    let lab = check("lab", &lab::grammar());
    let course = check("course", &course::grammar());
    assert!(lab > 10 && course > 3, "only {lab} and {course} options were found");
}
