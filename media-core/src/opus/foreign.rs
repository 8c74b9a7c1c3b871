//! libopus, whose calls are the unsafe lines of Opus: one encoder and one decoder, both of one
//! channel at 8 kHz. They are made at a leg's negotiation; per packet libopus works on its stack
//! and in their memory, which no call enlarges.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use opusic_sys::{
    OPUS_APPLICATION_VOIP, OPUS_OK, OPUS_SET_BITRATE_REQUEST, OPUS_SET_COMPLEXITY_REQUEST,
    OPUS_SET_INBAND_FEC_REQUEST, OPUS_SET_PACKET_LOSS_PERC_REQUEST, OPUS_SET_SIGNAL_REQUEST,
    OPUS_SIGNAL_MUSIC, OPUS_SIGNAL_VOICE, OpusDecoder, OpusEncoder, opus_decode,
    opus_decoder_create, opus_decoder_destroy, opus_encode, opus_encoder_create, opus_encoder_ctl,
    opus_encoder_destroy,
};

use crate::codec::CLOCK_RATE;

/// Samples a second on the linear side.
const SAMPLE_RATE: i32 = CLOCK_RATE as i32;

/// How an encoder works.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// 0 to 10.
    pub complexity: i32,
    /// Bits a second.
    pub bitrate: i32,
    /// Loss in percent that each packet's copy of the one before is made for. 0 makes none, and has
    /// libopus told of music, so that it transforms (MDCT) instead of predicting (RFC 6716 §2.1).
    pub expected_loss: i32,
}

/// Makes one stream.
#[derive(Debug)]
pub struct Encoder(NonNull<OpusEncoder>);

/// Hears one stream.
#[derive(Debug)]
pub struct Decoder(NonNull<OpusDecoder>);

// SAFETY: libopus keeps nothing of a state elsewhere and binds it to no thread; a state is behind
// an exclusive reference in each call.
unsafe impl Send for Encoder {}
// SAFETY: as of the encoder.
unsafe impl Send for Decoder {}

impl Encoder {
    /// `None` without memory.
    pub fn new(effort: Effort) -> Option<Encoder> {
        let mut error = OPUS_OK;
        // SAFETY: rate, channels and application are such as libopus knows; `error` is valid for
        // writes. What comes back is null or an encoder of ours alone.
        let state =
            unsafe { opus_encoder_create(SAMPLE_RATE, 1, OPUS_APPLICATION_VOIP, &mut error) };
        let mut encoder = Encoder(NonNull::new(state)?);
        encoder.set(effort);
        Some(encoder)
    }

    /// Works so from the next packet on.
    pub fn set(&mut self, effort: Effort) {
        let makes_copies = effort.expected_loss > 0;
        let signal = if makes_copies { OPUS_SIGNAL_VOICE } else { OPUS_SIGNAL_MUSIC };
        let settings = [
            (OPUS_SET_SIGNAL_REQUEST, signal),
            (OPUS_SET_COMPLEXITY_REQUEST, effort.complexity),
            (OPUS_SET_BITRATE_REQUEST, effort.bitrate),
            (OPUS_SET_INBAND_FEC_REQUEST, i32::from(makes_copies)),
            (OPUS_SET_PACKET_LOSS_PERC_REQUEST, effort.expected_loss),
        ];
        for (request, value) in settings {
            // SAFETY: the encoder lives, and each of these requests takes one 32-bit integer.
            let result = unsafe { opus_encoder_ctl(self.0.as_ptr(), request as c_int, value) };
            debug_assert_eq!(result, OPUS_OK, "request {request}");
        }
    }

    /// The length of the packet of these samples: 2.5, 5, 10, or 20 to 120 ms in steps of 20.
    pub fn encode(&mut self, samples: &[i16], packet: &mut [u8]) -> Option<usize> {
        // SAFETY: the encoder lives; libopus reads `samples.len()` samples, of one channel each,
        // and writes at most `packet.len()` bytes.
        let len = unsafe {
            opus_encode(
                self.0.as_ptr(),
                samples.as_ptr(),
                samples.len() as c_int,
                packet.as_mut_ptr(),
                packet.len() as i32,
            )
        };
        usize::try_from(len).ok().filter(|len| *len > 0)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: it was made by `opus_encoder_create` and is used no more.
        unsafe { opus_encoder_destroy(self.0.as_ptr()) };
    }
}

impl Decoder {
    /// `None` without memory.
    pub fn new() -> Option<Decoder> {
        let mut error = OPUS_OK;
        // SAFETY: rate and channels are such as libopus knows; `error` is valid for writes. What
        // comes back is null or a decoder of ours alone.
        let state = unsafe { opus_decoder_create(SAMPLE_RATE, 1, &mut error) };
        NonNull::new(state).map(Decoder)
    }

    /// How many samples the packet is; `None` if it is none, or of more than there is room for.
    pub fn decode(&mut self, packet: &[u8], samples: &mut [i16]) -> Option<usize> {
        self.call(packet, samples, 0)
    }

    /// Fills `samples`, a multiple of 2.5 ms, with what was lost right before the packet: by its
    /// copy of that, else, or as far as it has none, by what came before.
    pub fn recover(&mut self, packet: &[u8], samples: &mut [i16]) -> Option<usize> {
        self.call(packet, samples, 1)
    }

    fn call(&mut self, packet: &[u8], samples: &mut [i16], of_loss: c_int) -> Option<usize> {
        let bytes = if packet.is_empty() { ptr::null() } else { packet.as_ptr() };
        // SAFETY: the decoder lives; libopus reads at most `packet.len()` bytes, none of a null
        // pointer, and writes at most `samples.len()` samples of one channel.
        let count = unsafe {
            opus_decode(
                self.0.as_ptr(),
                bytes,
                packet.len() as i32,
                samples.as_mut_ptr(),
                samples.len() as c_int,
                of_loss,
            )
        };
        usize::try_from(count).ok().filter(|count| *count > 0)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: it was made by `opus_decoder_create` and is used no more.
        unsafe { opus_decoder_destroy(self.0.as_ptr()) };
    }
}
