//! The dunlin program. Everything it does is in the library beside it, so that tests reach it.

fn main() -> std::process::ExitCode {
    dunlin_node::run(std::env::args_os())
}
