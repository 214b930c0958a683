//! `vmtrace ballista`: the processes of a cluster. A stock scheduler or executor has neither vmtrace's functions nor
//! its tables, so they are started here, with both registered.
//!
//! Owns their options, and cleans up after them. Rows between the stages of a query are in a directory of mode 0700
//! that is removed with the process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::utils::{default_config_producer, default_session_builder};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::execution::SessionState;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use log::{LevelFilter, Metadata, Record};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::super::functions;
use super::super::resources::{self, STACK};
use super::PORT;
use super::codec::{Scans, Tables};
use crate::schema::limits::MAX_MESSAGE;
use crate::terminal::{self, status};

/// Threads that answer; a scheduler opens captures on others.
const THREADS: usize = 4;
/// Seconds after which the rows of a query that nobody asked for any more are removed, and between looking for them.
const KEEP: (u64, u64) = (86_400, 600);
/// Time that an executor which is to end has for the tasks it works on: a cancelled one may not look up for long.
const GRACE: Duration = Duration::from_secs(10);
/// How often an executor that starts is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Options of `vmtrace ballista`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    role: Role,
    /// What to log on stderr: error, warn, info, debug
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn", value_parser = level)]
    log: LevelFilter,
}

fn level(text: &str) -> Result<LevelFilter, &'static str> {
    text.parse().map_err(|_| "take one of error, warn, info, debug")
}

#[derive(Debug, clap::Subcommand)]
enum Role {
    /// Take queries and share them out among executors
    Scheduler(Scheduler),
    /// Work for a scheduler
    Executor(Executor),
}

#[derive(Debug, clap::Args)]
struct Scheduler {
    /// Address to listen on; everybody who reaches it can read what this user can read
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Port to listen on
    #[arg(long, value_name = "PORT", default_value_t = PORT)]
    port: u16,
    /// Name or address by which executors reach this machine [default: ADDRESS]
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Executor {
    /// The scheduler
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    scheduler: String,
    /// Address to listen on; everybody who reaches it can read what this user can read
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Port to serve rows on; tasks are received on the next one
    #[arg(long, value_name = "PORT", default_value_t = PORT + 1, value_parser = clap::value_parser!(u16).range(1..65535))]
    port: u16,
    /// Name or address by which others reach this machine [default: ADDRESS]
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Directory for rows between the stages of a query [default: the one for temporary files]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Memory for sorting, grouping and joining; what needs more goes to disk [default: half of this machine's]
    #[arg(long, value_name = "SIZE", value_parser = resources::parse_size)]
    memory_limit: Option<usize>,
    /// Parts of queries to run at a time [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..1024))]
    threads: Option<u16>,
}

/// Runs `vmtrace ballista` until ^C or SIGTERM; returns the exit status.
///
/// # Errors
/// An address that cannot be listened on, a scheduler that does not answer, a directory that cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    log::set_logger(&Stderr).map_err(|error| anyhow!("{error}"))?;
    log::set_max_level(args.log);
    match &args.role {
        Role::Scheduler(options) => scheduler(options),
        Role::Executor(options) => executor(options),
    }
}

/// Log lines of Ballista. They may quote a capture.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            terminal::say(&format!("{} {}: {}", record.level(), record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

fn runtime() -> Result<Runtime> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    Ok(runtime.worker_threads(THREADS).thread_stack_size(STACK).enable_all().build()?)
}

/// A session that knows our functions.
fn session(config: SessionConfig) -> datafusion::common::Result<SessionState> {
    let context = SessionContext::new_with_state(default_session_builder(config)?);
    functions::register(&context);
    Ok(context.state())
}

fn message() -> u32 {
    u32::try_from(MAX_MESSAGE).unwrap_or(u32::MAX)
}

fn scheduler(options: &Scheduler) -> Result<u8> {
    let address = SocketAddr::new(options.bind, options.port);
    let runtime = runtime()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address));
    let listener = listener.with_context(|| format!("cannot listen on {address}: give another --bind or --port"))?;
    let config = SchedulerConfig {
        bind_host: options.bind.to_string(),
        bind_port: options.port,
        external_host: options.advertise.clone().unwrap_or_else(|| host(options.bind)),
        override_session_builder: Some(Arc::new(session)),
        override_logical_codec: Some(Arc::new(Tables::default())),
        override_physical_codec: Some(Arc::new(Scans::default())),
        grpc_server_max_decoding_message_size: message(),
        grpc_server_max_encoding_message_size: message(),
        grpc_client_max_message_size: message(),
        ..SchedulerConfig::default()
    };
    let serve = async {
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config)).await?;
        terminal::say(&format!("scheduler at {address}"));
        start_grpc_service_with_listener(listener, scheduler).await
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            served = serve => Ok(Some(served)),
            signal = end_signal() => signal.map(|()| None),
        }
    });
    runtime.shutdown_background();
    match ended? {
        Some(Err(error)) => bail!("the scheduler ended: {error}"),
        _ => Ok(status::OK),
    }
}

fn executor(options: &Executor) -> Result<u8> {
    let (host_name, port) = options.scheduler.rsplit_once(':').unwrap_or_default();
    let scheduler_port = port.parse().ok().filter(|_| !host_name.is_empty());
    let scheduler_port =
        scheduler_port.with_context(|| format!("--scheduler {} is not HOST:PORT", options.scheduler))?;
    let ports = [options.port, options.port.saturating_add(1)];
    for address in ports.map(|port| SocketAddr::new(options.bind, port)) {
        // Ballista reports no error if one of the ports is in use.
        TcpListener::bind(address)
            .with_context(|| format!("cannot listen on {address}: give another --bind or --port"))?;
    }
    // Rows of captures are private to the user.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let parent = options.work_dir.clone().unwrap_or_else(std::env::temp_dir);
    let work = tempfile::Builder::new().prefix("vmtrace-executor-").tempdir_in(&parent);
    let work = work.with_context(|| format!("cannot write to {}: give another --work-dir", parent.display()))?;
    let work_dir = work.path().to_str().with_context(|| format!("{} is not UTF-8", parent.display()))?.to_string();
    let registry = session(default_config_producer()).map_err(|error| anyhow!("{error}"))?;
    let config = Arc::new(ExecutorProcessConfig {
        bind_host: options.bind.to_string(),
        external_host: Some(options.advertise.clone().unwrap_or_else(|| host(options.bind))),
        port: ports[0],
        grpc_port: ports[1],
        scheduler_host: host_name.to_string(),
        scheduler_port,
        vcores: options.threads.map_or_else(resources::threads, usize::from),
        work_dir: Some(work_dir),
        job_data_ttl_seconds: KEEP.0,
        job_data_clean_up_interval_seconds: KEEP.1,
        grpc_max_decoding_message_size: message(),
        grpc_max_encoding_message_size: message(),
        memory_pool_size: Some(options.memory_limit.unwrap_or_else(resources::half_of_memory) as u64),
        override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&registry))),
        override_logical_codec: Some(Arc::new(Tables::default())),
        override_physical_codec: Some(Arc::new(Scans::default())),
        ..ExecutorProcessConfig::default()
    });
    let runtime = runtime()?;
    let health = config.health.clone();
    let place =
        format!("executor at {}, for the scheduler at {}", SocketAddr::new(options.bind, ports[0]), options.scheduler);
    runtime.spawn(async move {
        while !health.is_ready() {
            tokio::time::sleep(LOOK).await;
        }
        terminal::say(&place);
    });
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = start_executor_process(config) => ended.map_err(|error| anyhow!("{error}")),
            signal = end_signal() => {
                tokio::time::sleep(GRACE).await;
                Ok(signal?)
            }
        }
    });
    runtime.shutdown_background();
    drop(work);
    let remedy = || format!("the executor ended: is there a scheduler at {}?", options.scheduler);
    ended.with_context(remedy)?;
    Ok(status::OK)
}

/// Waits for ^C or SIGTERM.
async fn end_signal() -> std::io::Result<()> {
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}

/// How others write the address.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
