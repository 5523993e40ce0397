// The smallest picture and sound that are still what they say they are.

/** A PNG of one red pixel. */
export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC';

/** A WAV of eight silent samples: one channel, 8,000 Hz, 8 bits. */
export const WAV = wav(Buffer.alloc(8, 0x80)).toString('base64');

function wav(samples) {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20); // PCM
  header.writeUInt16LE(1, 22); // channels
  header.writeUInt32LE(8000, 24); // samples a second
  header.writeUInt32LE(8000, 28); // bytes a second
  header.writeUInt16LE(1, 32); // bytes a sample
  header.writeUInt16LE(8, 34); // bits a sample
  header.write('data', 36);
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}

/** A text block. */
export const text = (value) => ({ type: 'text', text: value });

/** A picture block. */
export const image = () => ({ type: 'image', data: PNG, mimeType: 'image/png' });

/** An elicitation form with one required property of a primitive type. */
export const form = (message, name, type) => ({
  mode: 'form',
  message,
  requestedSchema: { type: 'object', properties: { [name]: { type } }, required: [name] },
});
