//! Tones that are written to a file by one phone and looked for in what the other recorded.

use std::f64::consts::TAU;
use std::path::Path;

/// Samples a second of everything here: the rate of G.711.
const RATE: u32 = 8_000;

/// Sound as 16-bit samples.
pub struct Sound(Vec<i16>);

impl Sound {
    /// A sine at a quarter of full scale.
    pub fn tone(hertz: u32, seconds: u32) -> Self {
        let step = TAU * f64::from(hertz) / f64::from(RATE);
        Self((0..RATE * seconds).map(|n| (8_000.0 * (step * f64::from(n)).sin()) as i16).collect())
    }

    /// The same in bursts of 300 ms with 200 ms of silence between: a browser takes a steady tone for noise, and
    /// suppresses it.
    pub fn bursts(hertz: u32, seconds: u32) -> Self {
        let mut sound = Self::tone(hertz, seconds);
        let cycle = RATE as usize / 2;
        for (n, sample) in sound.0.iter_mut().enumerate() {
            if n % cycle >= cycle * 3 / 5 {
                *sample = 0;
            }
        }
        sound
    }

    /// What a mono 16-bit WAV file at 8 kHz has. A file whose writer has not finished it yet is read as far as it goes.
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let start = bytes.windows(4).position(|it| it == b"data").map_or(bytes.len(), |at| at + 8);
        let samples = bytes.get(start..).unwrap_or_default().chunks_exact(2);
        Self(samples.map(|it| i16::from_le_bytes([it[0], it[1]])).collect())
    }

    /// Writes a mono 16-bit WAV file at 8 kHz.
    pub fn write(&self, path: &Path) {
        let length = u32::try_from(self.0.len() * 2).unwrap();
        let mut bytes = b"RIFF".to_vec();
        bytes.extend((36 + length).to_le_bytes());
        bytes.extend(b"WAVEfmt ");
        for number in [16, 1 | 1 << 16, RATE, RATE * 2, 2 | 16 << 16] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(b"data");
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.0.iter().flat_map(|it| it.to_le_bytes()));
        std::fs::write(path, bytes).unwrap();
    }

    /// For how many seconds a tone of that pitch is most of what is heard, counted in tenths of a second.
    pub fn seconds_of(&self, hertz: u32) -> f64 {
        let tenths = self.0.chunks_exact(RATE as usize / 10);
        tenths.filter(|it| share(it, hertz) > 0.8).count() as f64 / 10.0
    }
}

/// Which part of the energy is at one pitch (Goertzel), 0.0..=1.0. Silence has none.
fn share(samples: &[i16], hertz: u32) -> f64 {
    let factor = 2.0 * (TAU * f64::from(hertz) / f64::from(RATE)).cos();
    let (mut last, mut before, mut energy) = (0.0, 0.0, 0.0);
    for sample in samples.iter().map(|it| f64::from(*it)) {
        (last, before) = (sample + factor * last - before, last);
        energy += sample * sample;
    }
    let power = last * last + before * before - factor * last * before;
    if energy < 1.0 { 0.0 } else { 2.0 * power / (energy * samples.len() as f64) }
}

#[test]
fn a_tone_is_found_where_it_is_and_nowhere_else() {
    let tone = Sound::tone(440, 2);
    assert!(tone.seconds_of(440) > 1.9);
    assert!(tone.seconds_of(1_000) < 0.1);
    assert!(Sound(vec![0; 16_000]).seconds_of(440) < 0.1);
}
