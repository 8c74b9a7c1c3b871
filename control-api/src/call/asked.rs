//! A party that was asked for: one request does it, those that repeat it meanwhile wait and get its
//! outcome. What was done before, the call's record knows.

use super::verbs::reread;
use crate::app::App;
use crate::problem::Problem;
use std::sync::Arc;
use storage::{Call, PartyRequest};

/// A party that was asked for: its name, and the call as it is then.
#[derive(Debug)]
pub enum Asked {
    Now {
        party: String,
        call: Call,
    },
    /// By the same request, which came before; nobody was dialled for this one.
    Before {
        party: String,
        call: Call,
    },
}

impl Asked {
    /// The call, whichever it is.
    pub fn into_call(self) -> Call {
        match self {
            Self::Now { call, .. } | Self::Before { call, .. } => call,
        }
    }
}

/// Does a request to its end, even if the client goes away meanwhile; or waits for the same one, if
/// that is being done. Another one with its key is done after it.
pub(super) async fn once<F>(
    app: &Arc<App>,
    call: &Call,
    request: Option<&PartyRequest>,
    work: F,
) -> Result<Asked, Problem>
where
    F: Future<Output = Result<Asked, Problem>> + Send + 'static,
{
    let mut turn = request.map(|request| (request, app.repeats.take(call, request)));
    while let Some((request, Err(first))) = &mut turn {
        if let Some(outcome) = first.outcome_for(request).await {
            return Ok(Asked::Before { party: outcome?, call: reread(app, call).await? });
        }
        turn = Some((request, app.repeats.take(call, request)));
    }
    let turn = turn.and_then(|(_, turn)| turn.ok());
    let task = tokio::spawn(async move {
        let asked = work.await;
        if let Some(turn) = turn {
            turn.tell(match &asked {
                Ok(Asked::Now { party, .. } | Asked::Before { party, .. }) => Ok(party.clone()),
                Err(problem) => Err(problem.clone()),
            });
        }
        asked
    });
    task.await.expect("asking for a party does not panic")
}
