/** The shapes, drawn with strokes on 24 × 24. */
const PATHS = {
  phone: 'M5 4h4l2 5-2.5 1.5a11 11 0 0 0 5 5L15 13l5 2v4a1 1 0 0 1-1 1A15 15 0 0 1 4 5a1 1 0 0 1 1-1Z',
  hangUp: 'M3 13c5-5 13-5 18 0l-2 3-4-1.5v-2.6a10 10 0 0 0-6 0v2.6L5 16Z',
  microphone: 'M12 4a3 3 0 0 0-3 3v4a3 3 0 0 0 6 0V7a3 3 0 0 0-3-3ZM6 11a6 6 0 0 0 12 0M12 17v3',
  microphoneOff:
    'M9 9v2a3 3 0 0 0 5 2.2M15 10V7a3 3 0 0 0-5.6-1.5M6 11a6 6 0 0 0 9.5 4.9M18 11c0 .7-.1 1.4-.3 2M12 17v3M4 4l16 16',
  erase: 'M9 6h11v12H9l-6-6ZM12 9.5l5 5M17 9.5l-5 5',
  outgoing: 'M7 17 17 7M9 7h8v8',
  incoming: 'M17 7 7 17M15 17H7V9',
  close: 'M6 6l12 12M18 6 6 18',
} as const;

export function Icon({ name }: { readonly name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
