//! Credit: how much a receiver lets its sender send (`FC-CREDIT`).
//!
//! A limit is absolute: bytes since the transfer, or the connection, began. The
//! receiver grants what it has received plus a window, less what it still holds
//! in memory; so what it holds never exceeds the window, whatever the peer does
//! (`FC-WINDOW`).

/// The sender's side: what was granted, and what has been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SendCredit {
    limit: u64,
    used: u64,
}

impl SendCredit {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: 0 }
    }

    /// Takes a new limit; a lower one changes nothing (`FC-CREDIT-MONOTONIC`).
    pub(crate) fn raise(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    pub(crate) fn available(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    pub(crate) fn spend(&mut self, cost: u64) {
        self.used = self.used.saturating_add(cost);
    }
}

/// The receiver's side: what arrived, what is still held, what was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceiveCredit {
    window: u64,
    received: u64,
    held: u64,
    announced: u64,
}

impl ReceiveCredit {
    /// `announced` is what the peer may send before the first CREDIT.
    pub(crate) fn new(window: u64, announced: u64) -> Self {
        Self { window, received: 0, held: 0, announced }
    }

    /// Counts data that arrived; `false` if it was more than granted
    /// (`FC-CREDIT-EXCEEDED`).
    #[must_use]
    pub(crate) fn receive(&mut self, cost: u64) -> bool {
        self.received = self.received.saturating_add(cost);
        self.received <= self.announced
    }

    /// Memory was taken for data.
    pub(crate) fn hold(&mut self, bytes: u64) {
        self.held = self.held.saturating_add(bytes);
    }

    /// Memory was given back.
    pub(crate) fn release(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// Bytes for which memory is taken.
    pub(crate) fn held(self) -> u64 {
        self.held
    }

    /// Replaces what is held, for a sum over several.
    pub(crate) fn set_held(&mut self, held: u64) {
        self.held = held;
    }

    /// The limit to announce now, if it is worth a frame: a quarter of the
    /// window more than the last, so that CREDIT frames stay few.
    pub(crate) fn announce(&mut self) -> Option<u64> {
        let limit = self.received.saturating_add(self.window.saturating_sub(self.held));
        if limit >= self.announced.saturating_add(self.window / 4) {
            self.announced = limit;
            return Some(limit);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_limit_changes_nothing() {
        let mut credit = SendCredit::new(100);
        credit.spend(60);
        credit.raise(50);
        assert_eq!(credit.available(), 40);
        credit.raise(200);
        assert_eq!(credit.available(), 140);
    }

    #[test]
    fn held_data_is_not_granted_again_until_it_is_released() {
        let mut credit = ReceiveCredit::new(1000, 1000);
        assert!(credit.receive(1000));
        credit.hold(1000);
        assert_eq!(credit.announce(), None);
        credit.release(200);
        assert_eq!(credit.announce(), None, "too little for a frame");
        credit.release(300);
        assert_eq!(credit.announce(), Some(1500));
        assert!(!credit.receive(501), "one byte more than granted");
    }
}
