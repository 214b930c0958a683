//! Replaces `cluster` in a build without feature `ballista`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::open::Opened;

/// None.
#[derive(Clone, Debug)]
pub struct Cluster(Infallible);

impl Cluster {
    /// Says which build has it.
    ///
    /// # Errors
    /// Always.
    pub fn new(_url: &str) -> Result<Self> {
        bail!("this vmtrace queries only on this machine: build it with --features ballista")
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn context(
        &self,
        _config: SessionConfig,
        _environment: Arc<RuntimeEnv>,
        _captures: &[Arc<Opened>],
        _paths: &[PathBuf],
    ) -> Result<SessionContext> {
        match self.0 {}
    }

    /// Never called.
    #[allow(clippy::unused_async)]
    pub async fn cancel(&self, _plan: &dyn ExecutionPlan) {
        match self.0 {}
    }
}

/// Nothing: every plan runs here.
#[allow(clippy::unused_async)]
pub async fn explained(_plan: &dyn ExecutionPlan, _context: &SessionContext) -> Option<String> {
    None
}
