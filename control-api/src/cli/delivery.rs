//! Calls, and results that are not delivered, of all accounts.

use super::table::{or_dash, table};
use super::{CliError, Session, given};
use crate::admin::call::LiveCall;
use crate::admin::delivery::{Redelivered, UndeliveredList, UndeliveredResult};
use crate::http::calls::list::CallList;
use crate::view::call::CallView;
use call_words::CallStatus;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

/// Lists an account's calls, newest first.
#[derive(Debug, Args)]
pub struct CallsArgs {
    account: String,
    /// Calls whose result stands so
    #[arg(long)]
    callback: Option<StateArg>,
    /// The caller's own id of the call
    #[arg(long)]
    uuid: Option<String>,
    /// Calls that started at this time or later, such as 2026-07-03T10:00:00Z
    #[arg(long)]
    from: Option<String>,
    /// Calls that started before this time
    #[arg(long)]
    to: Option<String>,
    /// Most calls to show, 1-200; 50 unless given
    #[arg(long)]
    limit: Option<usize>,
    /// Where to go on, as the page before said
    #[arg(long)]
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum StateArg {
    Pending,
    Delivered,
    /// Given up after the last retry
    Exhausted,
}

impl StateArg {
    fn word(self) -> String {
        match self {
            StateArg::Pending => "pending".into(),
            StateArg::Delivered => "delivered".into(),
            StateArg::Exhausted => "exhausted".into(),
        }
    }
}

impl CallsArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        let query = [
            ("callback", self.callback.map(StateArg::word)),
            ("uuid", self.uuid),
            ("from", self.from),
            ("to", self.to),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cursor", self.cursor),
        ];
        let page: CallList =
            session.client.read_with_query(&["accounts", &self.account, "calls"], &query).await?;
        session.show(&page, |page| {
            let rows = page.calls.iter().map(|call| {
                let result = call.callback.as_ref();
                [
                    call.start_time.clone(),
                    call.call_id.clone(),
                    call.customer_number_e164.clone(),
                    agent(call),
                    call.status.map_or(call.state.as_str(), CallStatus::as_str).to_owned(),
                    call.duration.to_string(),
                    or_dash(call.reason.as_deref()),
                    or_dash(result.map(|result| result.state.as_str())),
                ]
            });
            let heading =
                ["STARTED", "CALL", "CUSTOMER", "AGENT", "STATUS", "SECONDS", "REASON", "CALLBACK"];
            with_cursor(table(heading, rows.collect()), page.next_cursor.as_deref())
        })
    }
}

/// Shows the calls of all accounts that have not ended.
pub(super) async fn live(session: &mut Session<'_>) -> Result<(), CliError> {
    let calls: Vec<LiveCall> = session.client.read(&["calls", "live"]).await?;
    session.show(&calls, |calls| {
        let rows = calls.iter().map(|live| {
            let call = &live.call;
            [
                live.account.clone(),
                call.start_time.clone(),
                call.call_id.clone(),
                call.customer_number_e164.clone(),
                agent(call),
                call.state.to_string(),
            ]
        });
        table(["ACCOUNT", "STARTED", "CALL", "CUSTOMER", "AGENT", "STATE"], rows.collect())
    })
}

fn agent(call: &CallView) -> String {
    or_dash(call.crm_username.as_deref().or(call.agent_number_e164.as_deref()))
}

#[derive(Debug, Subcommand)]
pub enum DeliveryCommand {
    /// List results that are not delivered, of one account or of all
    List {
        #[arg(long)]
        account: Option<String>,
        /// Results that are still being tried instead of those that were given up
        #[arg(long)]
        pending: bool,
        /// Most results to show, 1-200; 50 unless given
        #[arg(long)]
        limit: Option<usize>,
        /// Where to go on, as the page before said
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Push results again: of one call, or all of an account that were given up
    Redeliver {
        #[arg(required_unless_present = "account", conflicts_with_all = ["account", "from", "to"])]
        call_id: Option<String>,
        #[arg(long)]
        account: Option<String>,
        /// Of calls that started at this time or later, such as 2026-07-03T10:00:00Z
        #[arg(long)]
        from: Option<String>,
        /// Of calls that started before this time
        #[arg(long)]
        to: Option<String>,
    },
}

impl DeliveryCommand {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        match self {
            DeliveryCommand::List { account, pending, limit, cursor } => {
                let query = [
                    ("state", pending.then(|| "pending".to_owned())),
                    ("account", account),
                    ("limit", limit.map(|limit| limit.to_string())),
                    ("cursor", cursor),
                ];
                let list: UndeliveredList =
                    session.client.read_with_query(&["deliveries"], &query).await?;
                session.show(&list, |list| {
                    let rows = list.deliveries.iter().map(row).collect();
                    let heading =
                        ["ACCOUNT", "STARTED", "CALL", "STATE", "ATTEMPTS", "LAST ERROR", "URL"];
                    with_cursor(table(heading, rows), list.next_cursor.as_deref())
                })
            }
            DeliveryCommand::Redeliver { call_id: Some(call_id), .. } => {
                let queued: UndeliveredResult =
                    session.client.post(&["deliveries", &call_id, "redeliver"], &json!({})).await?;
                session.show(&queued, |queued| {
                    format!("the result of {} is pushed to {}", queued.call_id, queued.url)
                })
            }
            DeliveryCommand::Redeliver { account, from, to, .. } => {
                let account = account.unwrap_or_default();
                let body = given([("from", from.map(Into::into)), ("to", to.map(Into::into))]);
                let path = ["accounts", &account, "deliveries", "redeliver"];
                let redelivered: Redelivered = session.client.post(&path, &body).await?;
                session.show(&redelivered, |redelivered| {
                    let more = if redelivered.more {
                        "; there are more: repeat it once these are through"
                    } else {
                        ""
                    };
                    format!("{} results are pushed again{more}", redelivered.queued)
                })
            }
        }
    }
}

fn row(result: &UndeliveredResult) -> [String; 7] {
    [
        result.account.clone(),
        result.start_time.clone(),
        result.call_id.clone(),
        result.delivery.state.to_string(),
        result.delivery.attempts.to_string(),
        or_dash(result.delivery.last_error.as_deref()),
        result.url.clone(),
    ]
}

fn with_cursor(table: String, cursor: Option<&str>) -> String {
    cursor.map_or_else(|| table.clone(), |cursor| format!("{table}\n\nmore with --cursor {cursor}"))
}
