// How the page takes pictures: from a file, dropped, or from the camera.

const find = (name) => document.getElementById(name);

/** The samples of the proof: what was given, and the scores. */
export const sampleOf = async ({file}) => (await fetch(file)).blob();

export const describe = ({image}) => `${image.width} x ${image.height} pixels`;

/** Nothing stands between a picture and the model that was not checked with the samples. */
export const checkInputs = async () => null;

export function connect(model, answer, forget) {
  const preview = find('preview');
  const take = async (file) => {
    if (!file) return;
    try {
      URL.revokeObjectURL(preview.src);
      preview.src = URL.createObjectURL(file);
      preview.hidden = false;
      await answer(file, 'decoding included');
    } catch (fault) {
      forget(`this cannot be read as a picture: ${fault.message}`);
    }
  };
  find('file').addEventListener('change', ({target}) => take(target.files[0]));
  find('drop').addEventListener('dragover', (event) => event.preventDefault());
  find('drop').addEventListener('drop', (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  find('camera').addEventListener('click', () => watch(answer));
}

async function watch(answer) {
  const video = find('video');
  if (video.srcObject) {
    video.srcObject.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    video.hidden = true;
    find('camera').textContent = 'Use the camera';
    return;
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}});
  } catch (fault) {
    find('time').textContent = `no camera: ${fault.message}`;
    return;
  }
  video.hidden = false;
  find('preview').hidden = true;
  find('camera').textContent = 'Stop the camera';
  await video.play();
  while (video.srcObject) {
    await answer(video, 'decoding included');
    await new Promise((ready) => requestAnimationFrame(ready));
  }
}
