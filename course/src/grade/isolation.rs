//! Checks which sandbox layers this machine has, and that builds cannot read the secret.

use std::io;
use std::path::Path;
use std::process::Command;

use super::config::Course;
use graded::sandbox::Layer;
use lab::outcome::CommandError;
use lab::submit::tree::Tree;

/// Describes in one line which sandbox layers there are around runs on this machine.
///
/// # Errors
/// If a layer that the course requires is missing.
pub(super) fn describe_layers(course: &Course) -> Result<String, CommandError> {
    let program = std::env::current_exe().map_err(cannot_test)?;
    let output = Command::new(program)
        .args(["confined", "--layers", "--user", &course.isolation.user.to_string()])
        .output()
        .map_err(cannot_test)?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let active: Vec<&str> = printed.split_whitespace().collect();
    let missing: Vec<Layer> =
        Layer::ALL.into_iter().filter(|layer| !active.contains(&layer.name())).collect();
    if let Some(layer) = course.isolation.require.iter().find(|layer| missing.contains(layer)) {
        let error = String::from_utf8_lossy(&output.stderr);
        let separator = if error.is_empty() { "" } else { ": " };
        return Err(CommandError::Internal(format!(
            "isolation: the sandbox layer {layer} is required, but this machine does not have it\
             {separator}{}; see docs/course/grading.md",
            error.trim()
        )));
    }
    let missing: Vec<&str> = missing.into_iter().map(Layer::name).collect();
    Ok(format!("isolation: limits, {}; missing: {}", list(&active), list(&missing)))
}

fn cannot_test(error: io::Error) -> CommandError {
    CommandError::Internal(format!("cannot test which sandbox layers there are: {error}"))
}

fn list(layers: &[&str]) -> String {
    if layers.is_empty() { "none".into() } else { layers.join(", ") }
}

/// Checks that the secret is not one of the lab's own files, which builds can read.
pub(super) fn check_secret_is_apart(course: &Course, root: &Path) -> Result<(), CommandError> {
    let broken = |error: io::Error| CommandError::Internal(format!("{}: {error}", root.display()));
    let secret = course.secret.canonicalize().map_err(broken)?;
    let root = root.canonicalize().map_err(broken)?;
    let Ok(path) = secret.strip_prefix(&root) else { return Ok(()) };
    let sources = Tree::of_sources(&root).map_err(broken)?;
    if path.to_str().is_none_or(|path| sources.get(path).is_none()) {
        return Ok(());
    }
    Err(CommandError::Usage(format!(
        "the secret {} is one of the lab's own files, which a submission can read while it is \
         built; keep it elsewhere",
        path.display()
    )))
}
