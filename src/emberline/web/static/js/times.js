// Times in the reader's own zone; UTC stays as the title.
const pad = (number) => String(number).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function zone(date) {
  const minutes = -date.getTimezoneOffset();
  if (!minutes) return "UTC";
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

export function words(date, now, full) {
  const clock = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  const seconds = `${clock}:${pad(date.getSeconds())}`;
  if (full) return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${seconds}`;
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  if (date >= midnight && date - midnight < 86400e3) return `today ${seconds}`;
  const day = `${date.getDate()} ${MONTHS[date.getMonth()]}`;
  return date.getFullYear() === now.getFullYear() ? `${day} ${clock}` : `${day} ${date.getFullYear()} ${clock}`;
}

export function localise(root) {
  const now = new Date();
  for (const element of root.querySelectorAll("time[datetime]")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    element.textContent = words(date, now, "full" in element.dataset);
    element.title = `${element.dateTime.replace("T", " ").replace("Z", "")} UTC (shown in ${zone(date)})`;
  }
}
