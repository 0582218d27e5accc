//! Conditions that a swarm of T2 must have met: a campaign in which no program
//! ever went on after a crash has not shown that it can.

use std::collections::BTreeSet;

use crate::sometimes::conditions;

conditions! {
    Condition:
    /// Nothing went wrong.
    Undisturbed = "undisturbed";
    /// The hosts had addresses of version 6.
    OverV6 = "over_v6";
    /// The receiver was given a code.
    ByCode = "by_code";
    /// A connection was lost in the middle of a transfer, and the program knew it.
    ConnectionLost = "connection_lost";
    /// A program needed more than one attempt to connect again.
    SeveralAttempts = "several_attempts";
    /// The rendezvous could not be reached when it was needed.
    RendezvousAway = "rendezvous_away";
    /// A program, or the rendezvous, was killed in the middle of a transfer.
    CrashInTransfer = "crash_in_transfer";
    /// A transfer went on although no program had been killed.
    ContinuedAfterLoss = "continued_after_loss";
    /// A transfer went on with a new process of the sender.
    ContinuedAfterSenderCrash = "continued_after_sender_crash";
    /// A transfer went on with a new process of the receiver.
    ContinuedAfterReceiverCrash = "continued_after_receiver_crash";
    /// A transfer went on through a rendezvous that had forgotten everything.
    ContinuedAfterRendezvousCrash = "continued_after_rendezvous_crash";
    /// A transfer that went on had some of its bytes already.
    ContinuedInTheMiddle = "continued_in_the_middle";
    /// The system ended a program in the middle of a transfer.
    TerminatedInTransfer = "terminated_in_transfer";
    /// A receiver that was run again had everything already.
    CompleteBefore = "complete_before";
    /// The sender had to invite a second time.
    InvitedAgain = "invited_again";
    /// A program used several lanes, each of which has a socket of its own.
    SeveralLanes = "several_lanes";
}

/// The conditions that were met.
pub(super) type Met = BTreeSet<Condition>;
