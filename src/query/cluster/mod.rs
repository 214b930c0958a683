//! `vmtrace query --ballista`: the same tables, views and functions on a cluster of Apache Ballista. Built with feature
//! `ballista`.
//!
//! Owns the client's side. The session for local queries parses and checks the SQL and makes a logical plan. The plan
//! goes to the scheduler ([`serve`]), which makes a physical plan and distributes it to executors. Plans name captures
//! ([`codec`]); executors open them ([`scan`]), with the same code and the same checks as here.

mod codec;
mod scan;
mod serve;

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use async_trait::async_trait;
use ballista_core::config::{BALLISTA_CLIENT_GRPC_TIMEOUT_SECONDS, BALLISTA_CLIENT_PULL};
use ballista_core::execution_plans::DistributedQueryExec;
use ballista_core::extension::{SessionConfigExt, SessionStateExt};
use ballista_core::planner::BallistaQueryPlanner;
use ballista_core::serde::protobuf::CancelJobParams;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use datafusion::catalog::Session;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::protobuf::LogicalPlanNode;
use url::Url;

use self::codec::Tables;
use self::scan::Places;
pub use self::serve::{Args, run};
use super::files;
use super::open::Opened;
use crate::schema::limits::MAX_MESSAGE;

/// Where a scheduler listens by default.
const PORT: u16 = 50050;
/// Parts a stage of a query is divided into; executors work on as many at once as they have threads.
const PARTITIONS: usize = 16;
/// Seconds that an answer of the scheduler may take: it has opened every capture when it gives the first one.
const ANSWER: usize = 600;
/// Time for a connection to the scheduler, and for it to cancel a query.
const CONNECT: Duration = Duration::from_secs(10);

/// A scheduler that answers.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// As `http://HOST:PORT`, which is how it is called.
    url: String,
}

impl Cluster {
    /// The cluster whose scheduler is at `url`, which is `df://HOST:PORT`.
    ///
    /// # Errors
    /// What is no such URL; a scheduler that cannot be reached.
    pub fn new(url: &str) -> Result<Self> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "df" | "http"));
        let place = parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port().unwrap_or(PORT))));
        let (host, port) =
            place.with_context(|| format!("{url} is not a scheduler: give --ballista df://HOST:PORT"))?;
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (plain, port).to_socket_addrs().with_context(|| format!("there is no host {host}"))?;
        ensure!(
            addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, CONNECT).is_ok()),
            "no scheduler answers at {host}:{port}: start one with `vmtrace ballista scheduler`"
        );
        Ok(Cluster { url: format!("http://{host}:{port}") })
    }

    /// A session whose queries run on the cluster, over `captures` that lie at `paths`.
    ///
    /// # Errors
    /// When a path cannot be sent; when the engine cannot be set up, which would be a defect of this module.
    pub fn context(
        &self,
        config: SessionConfig,
        environment: Arc<RuntimeEnv>,
        captures: &[Arc<Opened>],
        paths: &[PathBuf],
    ) -> Result<SessionContext> {
        let places = captures.iter().zip(paths).map(|(c, path)| Ok((c.name.clone(), sendable(path)?)));
        let places = places.collect::<Result<Vec<_>>>()?;
        let codec = Arc::new(Tables::over(Places::new(places)));
        // In Ballista 55.0 a query over views with UNION never ends with the adaptive planner: its stages change while they
        // run. Unless the client asks for a query's state, it learns its name, by which it is cancelled, when a stage has ended.
        let config = config
            .upgrade_for_ballista()
            .with_ballista_adaptive_query_planner(false)
            .with_target_partitions(PARTITIONS)
            .with_ballista_grpc_client_max_message_size(MAX_MESSAGE)
            .set_usize(BALLISTA_CLIENT_GRPC_TIMEOUT_SECONDS, ANSWER)
            .set_bool(BALLISTA_CLIENT_PULL, true)
            .with_ballista_logical_extension_codec(codec.clone());
        let remote = BallistaQueryPlanner::with_extension(self.url.clone(), config.ballista_config(), codec);
        let config = config.with_ballista_query_planner(Arc::new(Planner(remote)));
        let state = SessionStateBuilder::new().with_default_features().with_config(config);
        let state = state.with_runtime_env(environment).build().upgrade_for_ballista(self.url.clone());
        Ok(SessionContext::new_with_state(state.map_err(|error| anyhow!("{error}"))?))
    }

    /// Has the scheduler cancel the query that `plan` is, if it was sent.
    pub async fn cancel(&self, plan: &dyn ExecutionPlan) {
        let Some(job) = sent(plan).and_then(DistributedQueryExec::job_id) else { return };
        let cancel = async {
            let mut scheduler = SchedulerGrpcClient::connect(self.url.clone()).await.ok()?;
            scheduler.cancel_job(CancelJobParams { job_id: job.to_string() }).await.ok()
        };
        // The query is abandoned here, even if the scheduler does not learn of it.
        let _ = tokio::time::timeout(CONNECT, cancel).await;
    }
}

/// Has queries planned on the cluster, but for what is known here and cannot be sent.
#[derive(Debug)]
struct Planner(BallistaQueryPlanner<LogicalPlanNode>);

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        match plan {
            LogicalPlan::DescribeTable(_) => {
                DefaultPhysicalPlanner::default().create_physical_plan(plan, session).await
            }
            plan => self.0.create_physical_plan(plan, session).await,
        }
    }
}

/// How the cluster carried out `plan`, which has run: a plan with measures for each stage. None of what ran here.
pub async fn explained(plan: &dyn ExecutionPlan, context: &SessionContext) -> Option<String> {
    let explained = sent(plan)?.explain_executed_plan(&context.copied_config(), true).await;
    Some(explained.unwrap_or_else(|error| format!("the scheduler does not send the plan: {error}")))
}

fn sent(plan: &dyn ExecutionPlan) -> Option<&DistributedQueryExec<LogicalPlanNode>> {
    plan.downcast_ref::<DistributedQueryExec<LogicalPlanNode>>()
}

/// The path as it is on every machine: from the root on, unless it is a URL.
fn sendable(path: &Path) -> Result<String> {
    let whole = if files::is_url(path) { path.to_path_buf() } else { std::path::absolute(path)? };
    let text = whole.into_os_string().into_string();
    text.map_err(|path| anyhow!("{}: its name is not UTF-8, which a cluster needs", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_scheduler_is_said() {
        for bad in ["", "localhost:50050", "s3://bucket/a", "df://"] {
            let error = Cluster::new(bad).unwrap_err().to_string();
            assert!(error.contains("give --ballista df://HOST:PORT"), "{bad}: {error}");
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = Cluster::new(&format!("df://127.0.0.1:{free}")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("no scheduler answers at 127.0.0.1:{free}")), "{error}");
    }

    #[test]
    fn paths_are_whole() {
        assert!(sendable(Path::new("samples/a.parquet")).unwrap().starts_with('/'));
        assert_eq!(sendable(Path::new("s3://bucket/a.parquet")).unwrap(), "s3://bucket/a.parquet");
    }
}
