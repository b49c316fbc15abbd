import { useTexts } from '../i18n/context';
import { Icon } from './icon';
import { SECTIONS } from './sections';

/** The way around: at the side of a wide window, at the foot of a narrow one. */
export function Rail({ current }: { readonly current: string }) {
  const { t } = useTexts();
  return (
    <nav className="rail" aria-label={t.navigation.label}>
      {SECTIONS.map((section) => (
        <a
          key={section.id}
          href={`#${section.id}`}
          className="rail-link"
          aria-current={section.id === current ? 'page' : undefined}
        >
          <Icon name={section.icon} />
          {section.label(t)}
        </a>
      ))}
    </nav>
  );
}
