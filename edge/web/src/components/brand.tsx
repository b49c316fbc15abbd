/** The mark and the name. */
export function Brand() {
  return (
    <span className="brand">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" />
        <circle cx="11" cy="18" r="5.5" />
        <circle cx="21" cy="18" r="5.5" />
        <path d="M8 8h16" />
      </svg>
      Tandem
    </span>
  );
}
