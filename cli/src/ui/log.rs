//! The log for `-v`, on standard error. What does not live here: what is logged;
//! secrets never are.

use tracing_subscriber::EnvFilter;

/// Environment variable that overrides the level, in `tracing`'s filter syntax.
const LOG_VARIABLE: &str = "PASSEL_LOG";

/// Starts the log: warnings by default, `verbose` levels more. Has no effect if
/// there is one already.
pub fn start(verbose: u8) {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new(directives(verbose)));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(super::Style::of_stderr().colour)
        .try_init();
}

fn directives(verbose: u8) -> &'static str {
    match verbose {
        0 => "warn",
        1 => "warn,passel=info,passel_proto=info,passel_sans_io=info,passel_rendezvous=info",
        2 => "info,passel=debug,passel_proto=debug,passel_sans_io=debug,passel_rendezvous=debug",
        _ => "debug,passel=trace,passel_proto=trace,passel_sans_io=trace,passel_rendezvous=trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_a_valid_filter() {
        for verbose in 0..5 {
            assert!(EnvFilter::try_new(directives(verbose)).is_ok(), "{verbose}");
        }
        assert_ne!(directives(0), directives(1));
    }
}
