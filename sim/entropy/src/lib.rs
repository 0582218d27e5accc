//! The system's random numbers, from a seed where a thread asks for it.
//!
//! Libraries below an endpoint draw transaction ids, hash seeds and the like
//! from the system, by whichever crate they like. All of these end in the C
//! library's `getrandom`, so one function of that name, linked before it, makes
//! a whole stack repeatable: inside [`with_seed`] the thread's draws come from a
//! seed, everywhere else from the system. It is for simulation alone and has no
//! place in a program that keeps secrets. On other systems than Linux nothing
//! is replaced, and runs are not repeatable.

use std::cell::Cell;

thread_local! {
    // No destructor, so that it can be read at any time in a thread's life.
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Does `work`, in which this thread's random numbers depend on `seed` alone.
///
/// What other thread-locals drew before stays drawn: for equal runs, `work`
/// needs a thread of its own.
pub fn with_seed<T>(seed: u64, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<u64>);
    impl Drop for Restore {
        fn drop(&mut self) {
            STATE.set(self.0);
        }
    }
    let _restore = Restore(STATE.replace(Some(seed)));
    work()
}

/// The next 64 bits of the seed that this thread is under; nothing if it is
/// under none.
pub fn bits() -> Option<u64> {
    // SplitMix64.
    let state = STATE.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(Some(state));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Some(mixed ^ (mixed >> 31))
}

#[cfg(target_os = "linux")]
mod replaced {
    use std::ffi::{c_uint, c_void};

    use super::bits;

    /// Stands in for the C library's function of this name.
    ///
    /// # Safety
    ///
    /// As there: `buf` can be written for `len` bytes.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn getrandom(buf: *mut c_void, len: usize, flags: c_uint) -> isize {
        // Crates ask for nothing, with any pointer, to see whether it is there.
        if len == 0 {
            return 0;
        }
        let Some(mut word) = bits() else {
            // SAFETY: the arguments are the caller's, who vouches for them.
            let got = unsafe { libc::syscall(libc::SYS_getrandom, buf, len, flags) };
            return isize::try_from(got).unwrap_or(-1);
        };
        // SAFETY: the caller vouches for `len` bytes at `buf`, which is not
        // null since there are some; they need not be initialised, so they are
        // set before a reference to them is made.
        let out = unsafe {
            buf.cast::<u8>().write_bytes(0, len);
            std::slice::from_raw_parts_mut(buf.cast::<u8>(), len)
        };
        for part in out.chunks_mut(8) {
            part.copy_from_slice(&word.to_le_bytes()[..part.len()]);
            word = bits().unwrap_or_default();
        }
        isize::try_from(len).unwrap_or(isize::MAX)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    /// What the standard library draws on a fresh thread.
    fn drawn(seed: Option<u64>) -> u64 {
        let draw = || RandomState::new().hash_one(7);
        let work = move || seed.map_or_else(draw, |seed| with_seed(seed, draw));
        std::thread::spawn(work).join().unwrap_or_default()
    }

    #[test]
    fn a_seed_decides_what_the_system_gives_and_without_one_nothing_does() {
        assert_eq!(drawn(Some(1)), drawn(Some(1)));
        assert_ne!(drawn(Some(1)), drawn(Some(2)));
        assert_ne!(drawn(None), drawn(None));
    }

    #[test]
    fn a_seed_ends_where_its_work_does() {
        assert_eq!(bits(), None);
        let inner = with_seed(3, || (bits(), with_seed(3, bits), bits()));
        assert_eq!(inner.0, inner.1);
        assert_ne!(inner.0, inner.2);
        assert_eq!(bits(), None);
    }
}
