//! What a lane says of itself in its SCTP INIT chunk (RFC 9260, section 3.3.2). The
//! chunk is the stack's; here something is left out of it. What the peer's chunk says
//! is the stack's to judge.

/// Chunk type and length, and the fixed fields behind them.
const HEAD: usize = 20;
/// The parameter that lists chunk types which the sender knows beyond the base
/// (RFC 5061, section 4.2.7).
const SUPPORTED_EXTENSIONS: [u8; 2] = [0x80, 0x08];
/// The parameter that says the same of FORWARD TSN alone (RFC 3758, section 3.1).
const FORWARD_TSN_SUPPORTED: [u8; 2] = [0xc0, 0x00];
/// The chunk type FORWARD TSN (RFC 3758, section 3.2).
const FORWARD_TSN: u8 = 192;

/// The first sequence number that the chunk's sender will use; `None` if this is no INIT
/// chunk.
pub(super) fn first_sequence(chunk: &[u8]) -> Option<u32> {
    let number = chunk.get(HEAD - 4..HEAD)?;
    Some(u32::from_be_bytes(number.try_into().ok()?))
}

/// The chunk without partial reliability, of which a lane has no use that carries no
/// channel but `file` (`LN-INIT`). A peer that knows of none looks after none: with
/// str0m, that spares three walks over all that is in flight for each datagram. `None`
/// if this is no INIT chunk.
pub(super) fn reliable_only(chunk: &[u8]) -> Option<Vec<u8>> {
    let (head, mut rest) = chunk.split_at_checked(HEAD)?;
    let mut out = head.to_vec();
    while !rest.is_empty() {
        let (kind, length) = (rest.first_chunk::<2>()?, rest.get(2..4)?);
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let value = rest.get(4..length)?;
        // The padding of the last parameter may be missing.
        let padded = length.next_multiple_of(4).min(rest.len());
        match *kind {
            FORWARD_TSN_SUPPORTED => {}
            SUPPORTED_EXTENSIONS => {
                let others: Vec<u8> =
                    value.iter().copied().filter(|kind| *kind != FORWARD_TSN).collect();
                let length = u16::try_from(4 + others.len()).ok()?;
                out.extend_from_slice(kind);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&others);
                out.resize(out.len().next_multiple_of(4), 0);
            }
            _ => out.extend_from_slice(&rest[..padded]),
        }
        rest = &rest[padded..];
    }
    let length = u16::try_from(out.len()).ok()?;
    out.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(parameters: &[u8]) -> Vec<u8> {
        let mut chunk = vec![7; HEAD];
        let length = u16::try_from(HEAD + parameters.len()).unwrap();
        chunk[..4].copy_from_slice(&[1, 0, length.to_be_bytes()[0], length.to_be_bytes()[1]]);
        chunk.extend_from_slice(parameters);
        chunk
    }

    // LN-INIT
    #[test]
    fn partial_reliability_is_left_out_and_all_else_stays() {
        let other = [0x80, 0x02, 0, 6, 9, 9, 0, 0];
        let both = [&[0x80, 0x08, 0, 6, 130, 192, 0, 0][..], &other].concat();
        let one = [&[0x80, 0x08, 0, 5, 130, 0, 0, 0][..], &other].concat();
        assert_eq!(reliable_only(&chunk(&both)), Some(chunk(&one)));
        let all = [&[0xc0, 0, 0, 4][..], &both].concat();
        assert_eq!(reliable_only(&chunk(&all)), Some(chunk(&one)));
        assert_eq!(reliable_only(&chunk(&one)), Some(chunk(&one)));
        assert_eq!(reliable_only(&chunk(&[])), Some(chunk(&[])));
        assert_eq!(first_sequence(&chunk(&[])), Some(0x0707_0707));
        assert_eq!(first_sequence(&[1; 19]), None);
    }

    #[test]
    fn what_is_no_init_chunk_is_left_alone() {
        for wrong in
            [&[][..], &[1; 19], &chunk(&[0x80]), &chunk(&[0x80, 8, 0, 3]), &chunk(&[0, 1, 0, 9])]
        {
            assert_eq!(reliable_only(wrong), None);
        }
    }
}
