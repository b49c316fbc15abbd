import type { Messages } from '../i18n/messages';
import type { Icon } from './icon';

/** What the rail leads to. A section gets its row here the day it works, not before. */
export const SECTIONS: readonly Section[] = [{ id: 'calls', icon: 'phone', label: (t) => t.navigation.calls }];

export interface Section {
  readonly id: string;
  readonly icon: Parameters<typeof Icon>[0]['name'];
  readonly label: (t: Messages) => string;
}
