//! The autograder kit for Gradescope: a script that sets up the image, a script that grades, and
//! the lab.
//!
//! Gradescope unpacks the kit to `/autograder/source` and runs `setup.sh` once, as root and with a
//! network. Then it runs `run_autograder` for each submission, which must write
//! `/autograder/results/results.json`.

use std::fs;
use std::path::Path;

use lab::outcome::CommandError;
use lab::submit::manifest::is_plain;
use lab::submit::tree::Tree;

/// The directory in the kit that contains the lab's sources.
const LAB: &str = "lab/";

/// Writes the kit to a directory, with this configuration of `course grade` and its secret.
///
/// # Errors
/// If the configuration, the secret or the sources cannot be read, or the kit cannot be written.
pub(super) fn write(root: &Path, directory: &Path, config: &Path) -> Result<(), CommandError> {
    let wrong = |path: &Path, error| CommandError::Usage(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(config).map_err(|error| wrong(config, error))?;
    let name = secret_name(&text)
        .map_err(|what| CommandError::Usage(format!("{}: {what}", config.display())))?;
    let place = config.parent().unwrap_or(Path::new("")).join(&name);
    let secret = fs::read(&place).map_err(|error| wrong(&place, error))?;
    let sources = Tree::of_sources(root).map_err(|error| wrong(root, error))?;
    let compiler = ::tests::build().compiler;
    let compiler = compiler.split(' ').nth(1).unwrap_or("stable");
    let mut kit = kit(&sources, text.into_bytes(), compiler);
    kit.insert(&name, secret);
    kit.write(directory).map_err(|error| wrong(directory, error))
}

/// The name of the file with the secret, which must be in the same directory as the configuration.
fn secret_name(config: &str) -> Result<String, String> {
    let table: toml::Table = config.parse().map_err(|error| format!("{error}"))?;
    match table.get("secret").and_then(|name| name.as_str()) {
        Some(name) if is_plain(name) => Ok(name.into()),
        Some(name) => Err(format!("the secret {name:?} must be a file in the same directory")),
        None => Err("the key for the secret is missing: secret = \"FILE\"".into()),
    }
}

/// The files of the kit, without the secret.
fn kit(sources: &Tree, config: Vec<u8>, compiler: &str) -> Tree {
    let mut tree = Tree::default();
    for (path, file) in sources.files() {
        tree.insert(&format!("{LAB}{path}"), file.content.clone());
        tree.set_executable(&format!("{LAB}{path}"), file.is_executable);
    }
    tree.insert("course.toml", config);
    tree.insert("setup.sh", include_str!("gradescope/setup.sh").replace("@RUST@", compiler));
    tree.insert("run_autograder", include_str!("gradescope/run_autograder"));
    for script in ["setup.sh", "run_autograder"] {
        tree.set_executable(script, true);
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kit_has_the_two_scripts_the_lab_and_the_configuration() {
        let mut sources = Tree::default();
        sources.insert("Cargo.toml", "[workspace]");
        let kit = kit(&sources, b"secret".to_vec(), "1.95.0");
        let paths: Vec<_> = kit.files().map(|(path, file)| (path, file.is_executable)).collect();
        let expected =
            [("course.toml", false), ("lab/Cargo.toml", false), ("run_autograder", true)];
        assert_eq!(paths[..3], expected);
        assert_eq!(paths[3..], [("setup.sh", true)]);
        assert_eq!(secret_name("secret = \"key\"\n[seeds]\npublic = 1\n").unwrap(), "key");
        for wrong in ["", "secret = 1", "secret = \"../key\"", "secret = \"/key\""] {
            assert!(secret_name(wrong).unwrap_err().contains("secret"), "{wrong}");
        }
        let setup = String::from_utf8(kit.get("setup.sh").unwrap().to_vec()).unwrap();
        assert!(setup.contains("--default-toolchain 1.95.0") && !setup.contains('@'), "{setup}");
    }
}
