import type { Api } from '../api/client';
import type { Call } from '../calls/call';
import { Observable } from '../observable';
import { appended, EMPTY, refreshed, withEnded, type History } from './history';

/** The history as the page shows it, page by page from the server and call by call from the events. */
export class HistoryList {
  readonly state = new Observable<History>(EMPTY);
  #asking = false;

  constructor(private readonly api: Pick<Api, 'history'>) {}

  /** The first page, again. */
  refresh(): Promise<void> {
    return this.#ask(null, refreshed);
  }

  /** The next page; without one the first again. */
  more(): Promise<void> {
    const { cursor } = this.state.get();
    return cursor ? this.#ask(cursor, appended) : this.refresh();
  }

  ended(call: Call): void {
    this.state.set(withEnded(this.state.get(), call));
  }

  async #ask(cursor: string | null, taken: typeof appended): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    this.state.set({ ...this.state.get(), phase: 'loading' });
    try {
      const page = await this.api.history(cursor);
      this.state.set(taken(this.state.get(), page));
    } catch {
      this.state.set({ ...this.state.get(), phase: 'failed' });
    } finally {
      this.#asking = false;
    }
  }
}
