//! Logs and metrics of the process.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error, one line per event. `RUST_LOG` wins over `level`.
///
/// Does nothing when a logger is installed already.
///
/// # Errors
/// Says what is wrong with `level`.
pub fn start_logging(level: &str) -> Result<(), String> {
    // The JSON-RPC library warns about every bad request, parameters included: a
    // caller could fill the disk with that.
    let level =
        format!("{level},jsonrpsee_server=error,jsonrpsee_core=error,jsonrpsee-server=error");
    let filter = match EnvFilter::try_from_default_env() {
        Ok(filter) => filter,
        Err(_) => EnvFilter::try_new(&level).map_err(|error| {
            format!("log level {level:?}: {error}; use error, warn, info, debug or trace")
        })?,
    };
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // Fails only when one is installed, which is then the caller's wish.
    let _ = logger.try_init();
    Ok(())
}

/// Metrics of the process, installed once; several nodes in one process share them.
pub(crate) fn metrics() -> &'static PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Fails only when the host program installed a recorder of its own; ours
        // then stays empty.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}
