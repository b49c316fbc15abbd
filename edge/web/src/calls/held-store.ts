const KEY = 'tandem.held';

/**
 * Which calls had their audio in this tab, across a reload of it.
 *
 * sessionStorage belongs to a tab, but a duplicated tab gets a copy: only a reload may trust it.
 */
export class HeldStore {
  #written = '';

  constructor(
    private readonly storage: Storage,
    private readonly reloaded: boolean,
  ) {}

  read(): readonly string[] {
    if (!this.reloaded) return [];
    return (this.storage.getItem(KEY) ?? '').split(' ').filter(Boolean);
  }

  write(callIds: readonly string[]): void {
    const text = callIds.join(' ');
    if (text !== this.#written) this.storage.setItem(KEY, text);
    this.#written = text;
  }
}

/** Whether this document is a reload of the one before it. */
export function wasReloaded(): boolean {
  const [navigation] = performance.getEntriesByType('navigation');
  return navigation instanceof PerformanceNavigationTiming && navigation.type === 'reload';
}
