//! Building what the testbed runs, where it was itself started by cargo from a checkout.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The feature with which the tests that need a kernel with SCTP are built.
pub const KERNEL_TESTS: &str = "kernel-tests";
/// The packages whose programs the testbed runs, itself included: together they have the features that each has.
const PACKAGES: [&str; 3] = ["roam-testbed", "roam-agent", "roam-registrar"];
/// The package whose examples the testbed runs, unchanged.
const EXAMPLES: &str = "asap-client";

/// A checkout, and the cargo that started this program from it.
#[derive(Debug, Clone)]
pub struct Checkout {
    cargo: PathBuf,
    root: PathBuf,
    target: PathBuf,
    profile: String,
}

/// A built test executable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestProgram {
    /// The package that it belongs to.
    pub package: String,
    /// The test target's name.
    pub target: String,
    /// Where it is.
    pub executable: PathBuf,
    /// Its package's directory, where tests are run.
    pub directory: PathBuf,
}

impl Checkout {
    /// The checkout from which cargo started this program; none: it was started in another way.
    ///
    /// # Errors
    /// cargo does not say where it builds.
    pub fn here() -> Result<Option<Self>> {
        let Some(cargo) = std::env::var_os("CARGO").map(PathBuf::from) else { return Ok(None) };
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let Some(root) = manifest.parent().filter(|root| root.join("Cargo.toml").exists()) else {
            return Ok(None);
        };
        let own = std::env::current_exe().context("this program's own path")?;
        let directory = own.parent().context("this program's own directory")?;
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let profile = if name == "debug" { "dev".to_owned() } else { name.into_owned() };
        let target = directory.parent().context("cargo's target directory")?.to_owned();
        Ok(Some(Self { cargo, root: root.to_owned(), target, profile }))
    }

    /// cargo with these arguments, in the checkout, with the target directory of this very program.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null());
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// The same, building with another profile.
    pub fn with_profile(self, profile: &str) -> Self {
        Self { profile: profile.to_owned(), ..self }
    }

    /// cargo's name of the profile that is built with.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Where cargo builds.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Where the programs of this profile are.
    pub fn programs_directory(&self) -> PathBuf {
        self.target.join(if self.profile == "dev" { "debug" } else { &self.profile })
    }

    /// Has a command of cargo's run in the checkout, as [`cargo`](Self::cargo) does.
    pub fn around<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).env("CARGO", &self.cargo)
    }

    fn build(&self, what: &str, arguments: &[&str]) -> Result<()> {
        let status = self.cargo(arguments).args(["--profile", &self.profile]).status().context("cargo")?;
        ensure!(status.success(), "{what} could not be built (cargo {})", arguments.join(" "));
        Ok(())
    }

    /// Builds all programs, beside this one, and the examples that scenarios play.
    ///
    /// # Errors
    /// cargo fails.
    pub fn programs(&self) -> Result<()> {
        // First, so that the programs are those without the features of the examples' own packages.
        self.build("the examples", &["build", "--quiet", "--examples", "-p", EXAMPLES])?;
        let packages = PACKAGES.iter().flat_map(|package| ["-p", package]);
        let arguments: Vec<&str> = ["build", "--quiet", "--bins"].into_iter().chain(packages).collect();
        self.build("the programs", &arguments)
    }

    /// Builds the tests that need a kernel with SCTP and tells where they are.
    ///
    /// # Errors
    /// cargo fails.
    pub fn kernel_tests(&self) -> Result<Vec<TestProgram>> {
        let output = self.cargo(&["metadata", "--no-deps", "--format-version", "1"]).output()?;
        ensure!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let wanted = targets(&serde_json::from_slice(&output.stdout).context("cargo's metadata")?);
        ensure!(!wanted.is_empty(), "no package has tests with the feature {KERNEL_TESTS}");
        let mut arguments: Vec<String> =
            ["test", "--no-run", "--message-format", "json-render-diagnostics", "--profile", &self.profile]
                .map(str::to_owned)
                .into();
        for (package, target) in &wanted {
            let feature = format!("{package}/{KERNEL_TESTS}");
            arguments.extend(["-p", package, "--features", &feature, "--test", target].map(str::to_owned));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut cargo = self.cargo(&arguments).stdout(Stdio::piped()).spawn().context("cargo")?;
        let mut built = Vec::new();
        let stdout = cargo.stdout.take().context("cargo's output")?;
        for line in BufReader::new(stdout).lines() {
            built.extend(serde_json::from_str(&line?).ok().as_ref().and_then(test_program));
        }
        ensure!(cargo.wait()?.success(), "the tests for the kernel could not be built");
        built.retain(|program| {
            wanted.iter().any(|(package, target)| *package == program.package && *target == program.target)
        });
        for (package, target) in &wanted {
            if !built.iter().any(|program| program.package == *package && program.target == *target) {
                bail!("cargo does not say where the test `{target}` of {package} is");
            }
        }
        Ok(built)
    }
}

/// Builds the programs beside this one where this one was started by cargo, so that none is missing or old.
///
/// # Errors
/// cargo fails.
pub fn build_programs() -> Result<()> {
    match Checkout::here()? {
        Some(checkout) => checkout.programs(),
        None => Ok(()),
    }
}

/// Package and target of the tests that need the feature, from cargo's metadata.
fn targets(metadata: &Value) -> Vec<(String, String)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for package in list(&metadata["packages"]) {
        for target in list(&package["targets"]) {
            let is_test = list(&target["kind"]).iter().any(|kind| kind == "test");
            if is_test && list(&target["required-features"]).iter().any(|feature| feature == KERNEL_TESTS) {
                found.push((text(&package["name"]), text(&target["name"])));
            }
        }
    }
    found
}

/// The test executable that a message of cargo tells of.
fn test_program(message: &Value) -> Option<TestProgram> {
    let is_test = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "test");
    if message["reason"] != "compiler-artifact" || !is_test {
        return None;
    }
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    // `path+file:///…/sctp-sys#0.1.0`, or `path+file:///…/registrar#roam-registrar@0.1.0`.
    let (path, version) = message["package_id"].as_str()?.rsplit_once('#')?;
    let package = version.split_once('@').map_or_else(|| path.rsplit('/').next(), |(name, _)| Some(name))?;
    Some(TestProgram {
        package: package.to_owned(),
        target: message["target"]["name"].as_str()?.to_owned(),
        executable: message["executable"].as_str()?.into(),
        directory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_tests_that_require_the_feature_are_for_the_kernel() {
        let kernel =
            json!({"kind": ["test"], "name": "kernel", "required-features": ["kernel-tests", "tokio"]});
        let layout = json!({"kind": ["test"], "name": "layout"});
        let library = json!({"kind": ["lib"], "name": "sctp_sys"});
        let package = json!({"name": "sctp-sys", "targets": [library, layout, kernel]});
        let found = targets(&json!({ "packages": [package] }));
        assert_eq!(found, [("sctp-sys".to_owned(), "kernel".to_owned())]);
        assert!(targets(&json!({})).is_empty());
    }

    #[test]
    fn test_executables_are_found_in_both_forms_of_cargos_package_identifiers() {
        let message = |id: &str| {
            json!({
                "reason": "compiler-artifact", "package_id": id, "manifest_path": "/w/registrar/Cargo.toml",
                "target": {"kind": ["test"], "name": "kernel"}, "executable": "/t/guest/deps/kernel-1",
            })
        };
        let package = |id: &str| test_program(&message(id)).map(|program| program.package);
        assert_eq!(
            package("path+file:///w/registrar#roam-registrar@0.1.0").as_deref(),
            Some("roam-registrar")
        );
        assert_eq!(package("path+file:///w/sctp-sys#0.1.0").as_deref(), Some("sctp-sys"));
        let program = test_program(&message("path+file:///w/sctp-sys#0.1.0")).unwrap();
        assert_eq!(program.directory, Path::new("/w/registrar"));
    }

    #[test]
    fn other_messages_of_cargo_tell_of_no_test() {
        for message in [
            json!({"reason": "build-finished", "success": true}),
            json!({"reason": "compiler-artifact", "target": {"kind": ["bin"], "name": "roamd"}, "executable": "/t/roamd"}),
            json!({"reason": "compiler-artifact", "target": {"kind": ["test"]}, "executable": null}),
            json!(null),
        ] {
            assert_eq!(test_program(&message), None, "{message}");
        }
    }
}
