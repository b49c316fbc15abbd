import { useEffect, useState, useSyncExternalStore } from 'react';
import { dialable } from '../calls/number';
import { callsElsewhere, incomingCalls, lineCall, lineIsFree } from '../calls/phone-state';
import { peerLabel } from '../calls/call';
import type { Desk } from '../desk';
import { useTexts } from '../i18n/context';
import { Tones } from '../media/tones';
import { Announcer } from './announcer';
import { CallPanel } from './call-panel';
import { CallsElsewhere } from './calls-elsewhere';
import { Dialer } from './dialer';
import { EndedPanel } from './ended-panel';
import { HistoryPanel } from './history-panel';
import { IncomingPanel } from './incoming-panel';
import { NoticePanel } from './notice-panel';
import { toneFor } from './tone-for';

export interface CallsPageProps {
  readonly desk: Desk;
  readonly locks: LockManager | undefined;
}

export function CallsPage({ desk, locks }: CallsPageProps) {
  const { t } = useTexts();
  const phone = useSyncExternalStore(desk.phone.state.subscribe, desk.phone.state.get);
  const [number, setNumber] = useState('');
  const [tones] = useState(() => new Tones(locks));
  const { send } = desk.phone;
  const { line } = phone;
  const [ringing] = incomingCalls(phone);

  const tone = toneFor(phone);
  useEffect(() => tones.play(tone), [tones, tone]);
  useEffect(() => () => tones.play(null), [tones]);
  useEffect(() => {
    document.title = ringing ? `${t.phone.incoming(peerLabel(ringing.peer))} – Tandem` : 'Tandem';
  }, [ringing, t]);

  const dial = (typed: string) => send({ type: 'Dial', number: dialable(typed), key: crypto.randomUUID() });
  return (
    <main className="calls" id="calls" tabIndex={-1}>
      <Announcer phone={phone} />
      <section className="phone card" aria-labelledby="phone-heading">
        <h1 id="phone-heading">{t.phone.heading}</h1>
        {ringing && <IncomingPanel key={ringing.call_id} call={ringing} endsOther={!lineIsFree(phone)} send={send} />}
        {phone.notice && <NoticePanel problem={phone.notice} send={send} />}
        {(line.phase === 'bound' || line.phase === 'initiating') && (
          <CallPanel
            key={line.turn}
            line={line}
            call={lineCall(phone)}
            leaving={phone.leaving}
            clock={desk.clock}
            send={send}
          />
        )}
        {line.phase === 'ended' && <EndedPanel line={line} redial={dial} send={send} />}
        {lineIsFree(phone) && <Dialer number={number} change={setNumber} dial={dial} busy={phone.pending > 0} />}
        <CallsElsewhere calls={callsElsewhere(phone)} lost={phone.lost} clock={desk.clock} send={send} />
      </section>
      <HistoryPanel list={desk.history} mayDial={lineIsFree(phone)} dial={dial} />
    </main>
  );
}
