//! The `skype-ips` command.

fn main() -> std::process::ExitCode {
    skype_ips::cli::main()
}
