"""Uploads over HTTP that go to the store directly."""

import asyncio
import hashlib
import io
from pathlib import Path

from minio import Minio

from tests.support import sounds
from tests.support.s3_fixture import S3Server
from tests.support.studio_rig import before_an_api

KEY = {"Authorization": "Bearer studio-key", "I2V-User": "ann"}
SOUND = sounds.a_sound("audio/wav", 3.0)


async def test_a_file_goes_to_the_store_itself(database: str, tmp_path: Path, s3_server: S3Server) -> None:
    settings = {"blobs": "s3", "s3_endpoint": s3_server.endpoint, "s3_secure": False, "s3_bucket": "direct-http"}
    keys = {"s3_access_key": s3_server.access_key, "s3_secret_key": s3_server.secret_key}
    async with before_an_api(database, tmp_path, **settings, **keys) as rig:
        header = {"mediaType": "audio/wav", "sizeBytes": len(SOUND), "sha256": hashlib.sha256(SOUND).hexdigest()}
        form = (await rig.http.post(f"{rig.address}/v1/uploads:direct", json=header, headers=KEY)).json()
        assert form["url"] == f"http://{s3_server.endpoint}/direct-http/"
        end = f"{rig.address}/v1/uploads/{form['uploadId']}:finalize"
        early = await rig.http.post(end, headers=KEY)
        assert (early.status_code, early.json()["reason"]) == (422, "DIRECT_UPLOAD_MISSING")
        # The store of the tests takes no forms; other stores are tried in tests/contract/test_direct_uploads.py.
        store = Minio(
            s3_server.endpoint, access_key=s3_server.access_key, secret_key=s3_server.secret_key, secure=False
        )
        name = form["fields"]["key"]
        await asyncio.to_thread(store.put_object, "direct-http", name, io.BytesIO(SOUND), len(SOUND))
        made = await rig.http.post(end, headers=KEY)
        assert (made.status_code, made.json()["name"]) == (201, f"assets/{header['sha256']}"), made.text
        content = await rig.http.get(f"{rig.address}{made.headers['location']}/content", headers=KEY)
        assert content.content == SOUND
