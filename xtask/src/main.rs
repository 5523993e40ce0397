//! The workshop: what every change must pass, and the tools to weigh and to keep order.
#![forbid(unsafe_code)]

mod bench;
mod conformance;
mod inspection;
mod instructions;
mod shell;
mod test;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const USAGE: &str = "\
cargo xtask test                 everything that a change must pass, in order, up to the first failure
cargo xtask test --only STEP     one step of it; `cargo xtask test --list` names them
cargo xtask tidy                 the rules of the house that no other tool knows
cargo xtask tidy --write         the same, after writing docs/controls.md
cargo xtask conformance          the public suites, directly and through the gateway
cargo xtask bench ARGS...        weighs the gateway: portcullis-bench run --gateway ... ARGS
cargo xtask train [--data DIR]   trains the model of inspection from labelled texts (../shared/data) and our grammar
cargo xtask evaluate [--data DIR]  how well that model tells attacks from other texts, family by family
cargo xtask instructions         counts the core's instructions a request, and compares; needs valgrind
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match act(&args) {
        Ok(code) => code,
        Err(error) => {
            shell::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn act(args: &[&str]) -> anyhow::Result<ExitCode> {
    match args {
        ["test"] => test::all(&Workspace::find()?)?,
        ["test", "--list"] => shell::say(&test::list()),
        ["test", "--only", step] => test::only(&Workspace::find()?, step)?,
        ["tidy"] => tidy::check(&Workspace::find()?)?,
        ["tidy", "--write"] => tidy::write(&Workspace::find()?)?,
        ["conformance"] => conformance::run(&Workspace::find()?)?,
        ["bench", rest @ ..] => bench::run(&Workspace::find()?, rest)?,
        ["train"] => inspection::train(&Workspace::find()?, None)?,
        ["train", "--data", data] => inspection::train(&Workspace::find()?, Some(data))?,
        ["evaluate"] => inspection::evaluate(&Workspace::find()?, None)?,
        ["evaluate", "--data", data] => inspection::evaluate(&Workspace::find()?, Some(data))?,
        ["instructions"] => instructions::run(&Workspace::find()?)?,
        _ => {
            shell::say(USAGE.trim_end());
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
