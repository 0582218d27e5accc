//! What the processor can do, as far as a choice depends on it.

/// More threads than this would wait for the one that has the connection.
const MAX_LANE_THREADS: usize = 4;

/// Whether there are instructions for AES and for the multiplication that goes with
/// it in GCM.
pub(super) fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let has_aes = std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has_aes = std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let has_aes = false;
    has_aes
}

/// Whether there are cores for more than one busy thread of this program and of
/// another: with two of them, two programs that talk to each other on the same machine
/// are slowed down by every further thread that is busy.
pub(super) fn has_cores_to_spare() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 2)
}

/// Cores that lanes can have, beside one for the connection and one for storage and all
/// else: half of what is left.
pub(super) fn cores_for_lanes() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if cores < 4 { 0 } else { ((cores - 1) / 2).min(MAX_LANE_THREADS) }
}
