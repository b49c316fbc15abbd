import { useEffect, useState, useSyncExternalStore } from 'react';
import { Desk } from '../desk';
import { useTexts } from '../i18n/context';
import type { Identity } from '../identity/identity';
import type { User } from '../identity/refresh-store';
import { Brand } from './brand';
import { CallsPage } from './calls-page';
import { ConnectionState } from './connection-state';
import { LanguageSwitch } from './language-switch';
import { Rail } from './rail';

export interface ShellProps {
  readonly user: User;
  readonly identity: Identity;
  readonly locks: LockManager | undefined;
}

/** What stands around every section, for somebody who is signed in. */
export function Shell({ user, identity, locks }: ShellProps) {
  const { t } = useTexts();
  const [desk] = useState(() => new Desk(identity));
  useEffect(() => {
    desk.start();
    return () => desk.stop();
  }, [desk]);
  const connection = useSyncExternalStore(desk.connection.subscribe, desk.connection.get);
  return (
    <div className="shell">
      <a className="skip" href="#calls">
        {t.navigation.skip}
      </a>
      <header className="top">
        <Brand />
        <ConnectionState state={connection} />
        <span className="who" title={user.name}>
          <span className="who-name">{user.display_name || user.name}</span>{' '}
          <span className="muted">{user.extension}</span>
        </span>
        <LanguageSwitch />
        <button type="button" className="button quiet" data-testid="sign-out" onClick={() => void identity.signOut()}>
          {t.signIn.out}
        </button>
      </header>
      <Rail current="calls" />
      <CallsPage desk={desk} locks={locks} />
    </div>
  );
}
