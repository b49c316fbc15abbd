import { backoff } from './backoff';
import { parseFrame, type Frame } from './frame';

export type Connection = 'connecting' | 'online' | 'offline';

/** What of a WebSocket is used here. */
export interface Socket {
  close(): void;
}

/** What a socket tells; never before `open` has returned it. */
export interface Ears {
  readonly message: (data: unknown) => void;
  readonly close: (code: number) => void;
}

export interface Ports {
  readonly open: (accessToken: string, cursor: string | null, ears: Ears) => Socket;
  readonly accessToken: () => Promise<string>;
  /** Another token than the last: the server said that it has expired. */
  readonly renewed: (rejected: string) => Promise<string>;
  /** Milliseconds until the token should be replaced. */
  readonly tokenLife: () => number;
  /** Asks over HTTP, where a refusal can be told from a broken line. */
  readonly probe: () => Promise<void>;
  readonly frame: (frame: Frame) => void;
  readonly connection: (state: Connection) => void;
  readonly random: () => number;
}

const TOKEN_EXPIRED = 4001;
/** Longest wait for the first frame. */
const OPENING_MS = 10_000;

/**
 * The events socket, kept open.
 *
 * ```text
 *  connecting ──first frame──▶ online ──close──▶ offline ──back-off, probe──▶ (a new socket with the cursor)
 *                                └── token old, machine woke ──▶ a second socket; its first frame closes the first one
 * ```
 *
 * # Invariants
 * * At most two sockets: the one in use and the one that shall replace it.
 * * Every frame goes out once its socket said it, in its order; a frame that both sockets carry goes out twice.
 * * After `stop` nothing goes out and nothing is opened.
 */
export class Events {
  #used: Socket | null = null;
  #coming: Socket | null = null;
  #cursor: string | null = null;
  #token = '';
  #failures = 0;
  #stopped = false;
  #opening = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #replacement: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly ports: Ports) {}

  start(): void {
    this.ports.connection('connecting');
    void this.#open();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#replacement);
    for (const socket of [this.#used, this.#coming]) socket?.close();
    this.#used = this.#coming = null;
  }

  /** A fresh socket now: the network came back, or the machine woke up and the old one may be dead without a word. */
  refresh(): void {
    if (this.#stopped) return;
    clearTimeout(this.#retry);
    void this.#open();
  }

  async #open(rejected?: string): Promise<void> {
    if (this.#coming || this.#opening) return;
    this.#opening = true;
    try {
      if (this.#failures > 0 && !rejected) await this.ports.probe();
      this.#token = await (rejected ? this.ports.renewed(rejected) : this.ports.accessToken());
    } catch {
      this.#opening = false;
      return this.#failed();
    }
    this.#opening = false;
    if (!this.#stopped) this.#attach();
  }

  #attach(): void {
    const late = setTimeout(() => this.#closed(socket, 0), OPENING_MS);
    const socket = this.ports.open(this.#token, this.#cursor, {
      message: (data) => {
        clearTimeout(late);
        this.#received(socket, parseFrame(data));
      },
      close: (code) => {
        clearTimeout(late);
        this.#closed(socket, code);
      },
    });
    this.#coming = socket;
  }

  #received(socket: Socket, frame: Frame | null): void {
    if (socket === this.#coming) this.#promote(socket);
    if (socket !== this.#used || !frame) return;
    this.#cursor = frame.cursor;
    this.ports.frame(frame);
  }

  #promote(socket: Socket): void {
    const before = this.#used;
    [this.#used, this.#coming, this.#failures] = [socket, null, 0];
    before?.close();
    this.ports.connection('online');
    clearTimeout(this.#retry);
    clearTimeout(this.#replacement);
    this.#replacement = setTimeout(() => this.refresh(), Math.max(1000, this.ports.tokenLife()));
  }

  #closed(socket: Socket, code: number): void {
    if (socket !== this.#used && socket !== this.#coming) return; // it was replaced, or we stopped
    if (socket === this.#used) this.#used = null;
    if (socket === this.#coming) this.#coming = null;
    socket.close();
    if (this.#used) return this.#later(); // the replacement failed, the old one still serves
    if (this.#coming) return this.ports.connection('connecting');
    if (code !== TOKEN_EXPIRED || this.#failures > 0) return this.#failed();
    this.#failures = 1; // a second refusal in a row waits
    this.ports.connection('connecting');
    void this.#open(this.#token);
  }

  #failed(): void {
    if (this.#stopped) return;
    if (!this.#used) this.ports.connection('offline');
    this.#later();
  }

  #later(): void {
    this.#failures += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#open(), backoff(this.#failures, this.ports.random()));
  }
}
