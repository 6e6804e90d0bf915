//! `heddle`: see `heddle --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    heddle::cli::main()
}
