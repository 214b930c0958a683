//! What SQL may do: read the captures, keep views and tables in memory, and change settings from a list.
//!
//! Owns that list. Any other statement is refused before it runs: files that are no captures, other places, memory
//! limits and directories. `--allow-files` lets `CREATE EXTERNAL TABLE` name regular files.

use std::path::Path;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_datafusion_err, plan_err};
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{CreateExternalTable, DdlStatement, LogicalPlan, Statement};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

/// Settings that SET and RESET may change: how values, plans and names look, and which of several plans is taken.
const SETTINGS: [&str; 19] = [
    "datafusion.execution.time_zone",
    "datafusion.explain.analyze_level",
    "datafusion.explain.format",
    "datafusion.explain.logical_plan_only",
    "datafusion.explain.physical_plan_only",
    "datafusion.explain.show_schema",
    "datafusion.explain.show_sizes",
    "datafusion.explain.show_statistics",
    "datafusion.explain.tree_maximum_render_width",
    "datafusion.optimizer.enable_round_robin_repartition",
    "datafusion.optimizer.join_reordering",
    "datafusion.optimizer.prefer_existing_sort",
    "datafusion.optimizer.prefer_hash_join",
    "datafusion.optimizer.repartition_aggregations",
    "datafusion.optimizer.repartition_joins",
    "datafusion.optimizer.repartition_sorts",
    "datafusion.optimizer.repartition_windows",
    "datafusion.sql_parser.default_null_ordering",
    "datafusion.sql_parser.enable_ident_normalization",
];

/// Refuses a statement whose plan would name other mistakes first.
///
/// # Errors
/// When it inserts rows.
pub fn check_kind(statement: &Parsed) -> Result<()> {
    match statement {
        Parsed::Statement(sql) if matches!(**sql, SqlStatement::Insert(_)) => {
            plan_err!("INSERT would write, which SQL here does not: use -o OUT")
        }
        _ => Ok(()),
    }
}

/// Refuses a plan that would do more.
///
/// # Errors
/// One sentence that names what is refused, and what is allowed instead.
pub fn check(plan: &LogicalPlan, files: bool) -> Result<()> {
    SQLOptions::new().with_allow_ddl(true).with_allow_dml(false).with_allow_statements(true).verify_plan(plan)?;
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Statement(statement) => check_statement(statement)?,
            LogicalPlan::Ddl(statement) => check_definition(statement, files)?,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn check_statement(statement: &Statement) -> Result<()> {
    let setting = match statement {
        Statement::SetVariable(set) => &set.variable,
        Statement::ResetVariable(reset) => &reset.variable,
        Statement::Prepare(_)
        | Statement::Execute(_)
        | Statement::Deallocate(_)
        | Statement::TransactionStart(_)
        | Statement::TransactionEnd(_) => return Ok(()),
    };
    if SETTINGS.contains(&setting.as_str()) {
        return Ok(());
    }
    plan_err!("SQL cannot change the setting {setting}, only these: {}", SETTINGS.join(", "))
}

fn check_definition(statement: &DdlStatement, files: bool) -> Result<()> {
    match statement {
        DdlStatement::CreateExternalTable(table) if files => check_files(table),
        DdlStatement::CreateExternalTable(_) => {
            plan_err!("SQL reads the captures that are named before it and no other file: --allow-files lets it")
        }
        DdlStatement::CreateFunction(_) | DdlStatement::DropFunction(_) => {
            plan_err!("SQL cannot create or drop functions here")
        }
        DdlStatement::CreateMemoryTable(_)
        | DdlStatement::CreateView(_)
        | DdlStatement::CreateCatalogSchema(_)
        | DdlStatement::CreateCatalog(_)
        | DdlStatement::CreateIndex(_)
        | DdlStatement::DropTable(_)
        | DdlStatement::DropView(_)
        | DdlStatement::DropCatalogSchema(_) => Ok(()),
    }
}

/// A FIFO or device would keep the engine waiting, a directory can hold some, and another machine is not asked from SQL.
fn check_files(table: &CreateExternalTable) -> Result<()> {
    for location in &table.locations {
        let path = location.strip_prefix("file://").unwrap_or(location);
        if path.contains("://") {
            return plan_err!("LOCATION '{location}' is not on this machine: only local files can be read");
        }
        let found = Path::new(path).metadata();
        let found = found.map_err(|error| plan_datafusion_err!("cannot read LOCATION '{location}': {error}"))?;
        if !found.is_file() {
            return plan_err!("LOCATION '{location}' is not a regular file: --allow-files reads only those");
        }
    }
    if table.unbounded {
        return plan_err!("an UNBOUNDED table would never end: leave the word out");
    }
    Ok(())
}
