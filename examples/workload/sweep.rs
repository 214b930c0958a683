//! Many workloads under one recorder: each in a process of its own, one after the other.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Runs this program once per case, a command line such as `edge esrch`, and prints each case's report as one line, under
/// its name. A case that fails says so in its line and does not end the sweep.
pub fn run(cases: &[String]) -> Result<()> {
    let program = std::env::current_exe().context("own path")?;
    for case in cases {
        let mut report = one(&program, case).unwrap_or_else(|error| json!({ "failed": format!("{error:#}") }));
        report["case"] = Value::from(case.as_str());
        println!("{report}");
    }
    Ok(())
}

fn one(program: &std::path::Path, case: &str) -> Result<Value> {
    let mut command = Command::new(program);
    command.args(case.split_whitespace()).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("{} cannot be started", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, said.trim_end());
    serde_json::from_slice(&output.stdout).context("the report is not JSON")
}
