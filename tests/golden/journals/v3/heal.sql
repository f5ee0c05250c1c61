-- 0 before
-- 1 after
-- 2 killed 03 journal.commit
-- 3 killed 04 networks.restore_port
-- 4 killed 05 journal.commit
-- 5 killed 06 links.set_master
-- 6 incomplete 04 networks.restore_port
-- 7 incomplete 06 links.set_master
-- 8 lost 04 networks.restore_port
-- 9 lost 06 links.set_master
-- 10 lost 07 links.introduce
-- 11 undoing 03 links.set_port
INSERT INTO "compensation_totals" VALUES('restore_port','failed',1); -- 6-7
INSERT INTO "compensation_totals" VALUES('join_bridge','failed',1); -- 7
INSERT INTO "duration_totals" VALUES('attach','allocate',0.001,1,0.0); -- 0-11
INSERT INTO "duration_totals" VALUES('attach','plug',0.001,1,0.0); -- 0-11
INSERT INTO "duration_totals" VALUES('rebind','allocate',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('rebind','plug',0.001,1,0.0); -- 1
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-nic1','fake','52:54:00:00:00:01','network','default','virtio','vnet0','00000000-0000-4000-8000-000000000001','default','Initialised','Connected','',1700000000.0); -- 0-11
INSERT INTO "operation_totals" VALUES('attach','network','done','',1); -- 0-11
INSERT INTO "operation_totals" VALUES('rebind','network','done','',1); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','network','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"}],"remembered":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 0-11
INSERT INTO "operations" VALUES(2,'000000000004','rebind','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','network','{"kind":"heal","nics":[{"alias":"ua-nic1"}],"asked":[],"before":{"master":null,"isolated":false,"learning":true},"element":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=\"default\" portid=\"00000000-0000-4000-8000-000000000001\" bridge=\"virbr0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>"}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 1
INSERT INTO "operations" VALUES(2,'000000000004','rebind','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','network','{"kind":"heal","nics":[{"alias":"ua-nic1"}],"asked":[],"before":{"master":null,"isolated":false,"learning":true},"element":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=\"default\" portid=\"00000000-0000-4000-8000-000000000001\" bridge=\"virbr0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>"}','running','','','','00000000000340008000000000000000',1700000000.0,NULL); -- 2-5
INSERT INTO "operations" VALUES(2,'000000000004','rebind','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','network','{"kind":"heal","nics":[{"alias":"ua-nic1"}],"asked":[],"before":{"master":null,"isolated":false,"learning":true},"element":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=\"default\" portid=\"00000000-0000-4000-8000-000000000001\" bridge=\"virbr0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>"}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (restore_port: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 6
INSERT INTO "operations" VALUES(2,'000000000004','rebind','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','network','{"kind":"heal","nics":[{"alias":"ua-nic1"}],"asked":[],"before":{"master":null,"isolated":false,"learning":true},"element":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=\"default\" portid=\"00000000-0000-4000-8000-000000000001\" bridge=\"virbr0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>"}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (join_bridge: it failed, for the test; restore_port: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 7
INSERT INTO "operations" VALUES(2,'000000000004','rebind','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','network','{"kind":"heal","nics":[{"alias":"ua-nic1"}],"asked":[],"before":{"master":null,"isolated":false,"learning":true},"element":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=\"default\" portid=\"00000000-0000-4000-8000-000000000001\" bridge=\"virbr0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>"}','incomplete','incomplete','connection-lost','the connection broke, for the test','00000000000340008000000000000000',1700000000.0,NULL); -- 8-10
INSERT INTO "operations" VALUES(2,'000000000004','rebind','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','network','{"kind":"heal","nics":[{"alias":"ua-nic1"}],"asked":[],"before":{"master":null,"isolated":false,"learning":true},"element":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=\"default\" portid=\"00000000-0000-4000-8000-000000000001\" bridge=\"virbr0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>"}','running','','','','00000000000540008000000000000000',1700000000.0,NULL); -- 11
INSERT INTO "steps" VALUES('000000000002',0,'reserve','ua-nic1','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-11
INSERT INTO "steps" VALUES('000000000002',1,'allocate_actual_device','ua-nic1','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-11
INSERT INTO "steps" VALUES('000000000002',2,'host_net_add','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 0-11
INSERT INTO "steps" VALUES('000000000002',3,'confirm','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 0-11
INSERT INTO "steps" VALUES('000000000002',4,'define','ua-nic1','plug','config','done',1700000000.0,0.0,''); -- 0-11
INSERT INTO "steps" VALUES('000000000004',0,'restore_port','ua-nic1','allocate','live','done',1700000000.0,0.0,''); -- 1 4-5 9-11
INSERT INTO "steps" VALUES('000000000004',1,'join_bridge','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 1 10
INSERT INTO "steps" VALUES('000000000004',2,'verify','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000004',0,'restore_port','ua-nic1','allocate','live','started',1700000000.0,NULL,''); -- 2-3
INSERT INTO "steps" VALUES('000000000004',1,'join_bridge','ua-nic1','plug','live','planned',NULL,NULL,''); -- 2-3 6 8
INSERT INTO "steps" VALUES('000000000004',2,'verify','ua-nic1','plug','live','planned',NULL,NULL,''); -- 2-11
INSERT INTO "steps" VALUES('000000000004',1,'join_bridge','ua-nic1','plug','live','started',1700000000.0,NULL,''); -- 4-5 11
INSERT INTO "steps" VALUES('000000000004',0,'restore_port','ua-nic1','allocate','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 6-7
INSERT INTO "steps" VALUES('000000000004',1,'join_bridge','ua-nic1','plug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 7
INSERT INTO "steps" VALUES('000000000004',0,'restore_port','ua-nic1','allocate','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 8
INSERT INTO "steps" VALUES('000000000004',1,'join_bridge','ua-nic1','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 9
